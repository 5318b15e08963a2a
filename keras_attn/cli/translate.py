"""`keras-attn translate`."""

import io
import sys
from pathlib import Path

import click

from keras_attn.cli.few_runs import graphs_as_they_are


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
    from keras_attn.training import RunFolder

    run = RunFolder(run)
    run.model_path(checkpoint)
    if html_path and not Path(html_path).absolute().parent.is_dir():
        raise click.ClickException(f"There is no folder for {html_path}. Make it, or give another --html.")
    texts = list(texts) or _lines_of_input()
    with graphs_as_they_are():
        if alignment or html_path:
            _align(run.text_to_text(checkpoint), texts, alignment, html_path)
        else:
            _translate(run.text_to_text(checkpoint), texts)


def _lines_of_input():
    try:
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig").readlines()
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"Standard input is no UTF-8: {error}. Convert it first, for example with iconv."
        ) from None
    return [line.rstrip("\n") for line in lines]


def _translate(text_to_text, texts):
    from keras_attn.training.evaluation.translation import translate_all

    for translation in translate_all(text_to_text, texts):
        click.echo(translation)


def _align(text_to_text, texts, in_terminal, html_path):
    from rich.console import Console

    from keras_attn.training.evaluation.translation import align_all
    from keras_attn.visualize import alignment_html, alignment_table

    examples = align_all(text_to_text, texts)
    for example in examples:
        click.echo(example.target_text)
    if in_terminal:
        for example in examples:
            Console().print(alignment_table(example))
    if html_path:
        Path(html_path).write_text(alignment_html(examples), encoding="utf-8")
        click.echo(f"Alignments: {html_path}")
