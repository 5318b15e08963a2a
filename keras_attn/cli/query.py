"""`keras-attn query`."""

import json

import click


@click.command("query")
@click.argument("texts", nargs=-1, required=True)
@click.option("--model", default="default", show_default=True, help="Name of the served model.")
@click.option("--rest", "rest_url", metavar="URL", help="E.g. http://localhost:8501, which is the default.")
@click.option(
    "--grpc", "grpc_address", metavar="HOST:PORT", help="Ask over gRPC instead, e.g. localhost:8500."
)
@click.option("--signature", default="serving_default", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print every output of the signature as JSON.")
def command(texts, model, rest_url, grpc_address, signature, as_json):
    """Ask a server for TEXTS."""
    if rest_url and grpc_address:
        raise click.UsageError("Give --rest or --grpc, not both.")
    if grpc_address:
        from keras_attn.serving.quiet import import_tensorflow

        import_tensorflow()
        from keras_attn.serving import GrpcClient

        client = GrpcClient(grpc_address, model)
    else:
        from keras_attn.serving import Client

        client = Client(rest_url or "http://localhost:8501", model)
    outputs = client.predict({"text": list(texts)}, signature_name=signature)
    outputs = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in outputs.items()}
    if as_json or "text" not in outputs:
        click.echo(json.dumps(_readable(outputs), ensure_ascii=False))
    else:
        for text in _readable(outputs["text"]):
            click.echo(text)


def _readable(value):
    """Bytes as text, at any depth."""
    if isinstance(value, dict):
        return {name: _readable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_readable(part) for part in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
