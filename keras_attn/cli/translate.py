"""`keras-attn translate`."""

import sys
from pathlib import Path

import click


@click.command("translate")
@click.argument("run")
@click.argument("texts", nargs=-1)
@click.option(
    "--checkpoint", default="auto", help="best, last, averaged or a .keras file. Default: the recipe's."
)
@click.option("--alignment", is_flag=True, help="Show the attention as a table in the terminal.")
@click.option("--html", "html_path", metavar="FILE", help="Write the attention as a picture, one HTML file.")
def command(run, texts, checkpoint, alignment, html_path):
    """Translate TEXTS, or the lines of standard input, with RUN, a run folder."""
    from keras_attn.serving.quiet import import_tensorflow

    import_tensorflow()
    from keras_attn.training.evaluate import translate_all
    from keras_attn.training.run_folder import RunFolder

    text_to_text = RunFolder(run).text_to_text(checkpoint)
    texts = list(texts) or [line.rstrip("\n") for line in sys.stdin]
    for translation in translate_all(text_to_text, texts):
        click.echo(translation)
    if alignment or html_path:
        _show_alignments(text_to_text, texts, alignment, html_path)


def _show_alignments(text_to_text, texts, in_terminal, html_path):
    from rich.console import Console

    from keras_attn.cli.alignments import from_arrays
    from keras_attn.visualize import alignment_html, alignment_table

    translated, aligned = text_to_text.translate(texts), text_to_text.align(texts)
    arrays = {name: tensor.numpy() for name, tensor in {**aligned, "score": translated["score"]}.items()}
    examples = from_arrays(texts, translated["text"].numpy(), arrays)
    if in_terminal:
        for example in examples:
            Console().print(alignment_table(example))
    if html_path:
        Path(html_path).write_text(alignment_html(examples), encoding="utf-8")
        click.echo(f"Alignments: {html_path}")
