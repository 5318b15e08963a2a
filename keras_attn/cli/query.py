"""`keras-attn query`."""

import json
import re

import click


@click.command("query")
@click.argument("texts", nargs=-1, required=True)
@click.option("--model", default="default", show_default=True, help="Name of the served model.")
@click.option(
    "--url",
    default="http://localhost:8501",
    show_default=True,
    help="Server, also grpc://HOST:PORT or unix:/PATH for gRPC.",
)
@click.option("--signature", help="Default: serving_default, or stream with --stream.")
@click.option("--json", "as_json", is_flag=True, help="Print every output of the signature as JSON.")
@click.option("--stream", "streams", is_flag=True, help="Print each text as it is written. REST only.")
def command(texts, model, url, signature, as_json, streams):
    """Ask a server for TEXTS."""
    from keras_attn.serving import ServerError, connect

    try:
        client = connect(url, model)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with client:
        try:
            if streams:
                _print_streams(client, texts, signature or "", as_json)
            else:
                outputs = client.predict({"text": list(texts)}, signature_name=signature or "")
                _print_answers(outputs, as_json)
        except ServerError as error:
            raise click.ClickException(f"{error.status}: {_first_line(error.message)}") from None
        except OSError as error:
            raise click.ClickException(f"No server answers at {url}: {error}.") from None


def _print_answers(outputs, as_json):
    if as_json or not isinstance(outputs, dict) or "text" not in outputs:
        click.echo(_json(outputs))
    else:
        for entry in outputs["text"]:  # of n_best, a list of hypotheses
            for text in entry if isinstance(entry, list) else [entry]:
                click.echo(text)


def _print_streams(client, texts, signature, as_json):
    """One text after the other, each on a line of its own, or an event a line as JSON."""
    for text in texts:
        for event in _stream(client, text, signature):
            if not as_json:
                click.echo(event.text, nl=event.row is None)
            elif event.row is None:
                click.echo(_json({"outputs": event.outputs}))
            else:
                click.echo(_json({"text": event.text}))


def _stream(client, text, signature):
    try:
        return client.stream({"text": [text]}, signature_name=signature)
    except TypeError as error:  # over gRPC
        raise click.UsageError(f"--stream: {error}") from None


def _first_line(message):
    """The message of an error, without the nodes of the graph that TensorFlow lists below it."""
    # If several ops failed, their number comes first, and each has a number.
    text = re.sub(r"^\d+ root error\(s\) found\.\s*\(0\)\s*", "", message.strip())
    return text.partition("\n")[0].rstrip()


def _json(value):
    return json.dumps(value, ensure_ascii=False, default=lambda data: data.decode(errors="replace"))
