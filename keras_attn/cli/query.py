"""`keras-attn query`."""

import json
import re

import click


@click.command("query")
@click.argument("texts", nargs=-1, required=True)
@click.option("--model", default="default", show_default=True, help="Name of the served model.")
@click.option("--rest", "rest_url", metavar="URL", help="Default: http://localhost:8501.")
@click.option("--grpc", "grpc_address", metavar="HOST:PORT", help="Ask over gRPC instead.")
@click.option("--signature", help="Default: serving_default, or stream with --stream.")
@click.option("--json", "as_json", is_flag=True, help="Print every output of the signature as JSON.")
@click.option("--stream", "streams", is_flag=True, help="Print each text as it is written.")
def command(texts, model, rest_url, grpc_address, signature, as_json, streams):
    """Ask a server for TEXTS."""
    from keras_attn.serving import ServerError

    if rest_url and grpc_address:
        raise click.UsageError("Give --rest or --grpc, not both.")
    if streams and grpc_address:
        raise click.UsageError("--stream goes over REST: give --rest instead of --grpc.")
    client = _grpc_client(grpc_address, model) if grpc_address else _rest_client(rest_url, model)
    with client:
        try:
            if streams:
                _print_streams(client, texts, signature or "stream", as_json)
                return
            outputs = client.predict({"text": list(texts)}, signature_name=signature or "serving_default")
        except ServerError as error:
            raise click.ClickException(f"{error.status}: {_first_line(error.message)}") from None
        except OSError as error:
            place = rest_url or "localhost:8501"
            raise click.ClickException(f"No server answers at {place}: {error}.") from None
    _print_answers(_plain(outputs), as_json)


def _print_answers(outputs, as_json):
    if as_json or not isinstance(outputs, dict) or "text" not in outputs:
        click.echo(json.dumps(outputs, ensure_ascii=False))
    else:
        for entry in outputs["text"]:  # of n_best, a list of hypotheses
            for text in entry if isinstance(entry, list) else [entry]:
                click.echo(text)


def _print_streams(client, texts, signature, as_json):
    """One text after the other, each on a line of its own, or an event a line as JSON."""
    for text in texts:
        for event in client.stream({"text": [text]}, signature_name=signature):
            if not as_json:
                click.echo(event.text, nl=event.row is None)
            elif event.row is None:
                click.echo(json.dumps({"outputs": event.outputs}, ensure_ascii=False))
            else:
                click.echo(json.dumps({"text": event.text}, ensure_ascii=False))


def _rest_client(rest_url, model):
    from keras_attn.serving import Client

    try:
        return Client(rest_url or "http://localhost:8501", model)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _grpc_client(address, model):
    from keras_attn.serving import GrpcClient

    return GrpcClient(address, model)


def _first_line(message):
    """What the error says, without the nodes of the graph that TensorFlow lists below it."""
    # Where ops failed side by side their number comes first, and each has a number.
    text = re.sub(r"^\d+ root error\(s\) found\.\s*\(0\)\s*", "", message.strip())
    return text.partition("\n")[0].rstrip()


def _plain(value):
    """Arrays as lists and bytes as text, at any depth."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
