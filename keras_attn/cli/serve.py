"""`keras-attn serve`."""

import click


@click.command(
    "serve",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def command(flags):
    """Serve exported models over REST and gRPC; the flags are TensorFlow Serving's."""
    from keras_attn.serving.server import main

    return main(list(flags))
