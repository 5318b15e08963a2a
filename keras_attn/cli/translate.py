"""`keras-attn translate`."""

import io
import sys
from pathlib import Path

import click

from keras_attn.cli.few_runs import graphs_as_they_are

_TEXTS_A_BATCH = 64  # those that are aligned at once, as memory grows with them


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
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training.evaluation.translation import translate_all
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(run)
    run.model_path(checkpoint)
    if html_path and not Path(html_path).absolute().parent.is_dir():
        raise click.ClickException(f"There is no folder for {html_path}. Make it, or give another --html.")
    texts = list(texts) or _lines_of_input()
    import_tensorflow()
    with graphs_as_they_are():
        text_to_text = run.text_to_text(checkpoint)
        for translation in translate_all(text_to_text, texts):
            click.echo(translation)
        if alignment or html_path:
            _show_alignments(text_to_text, texts, alignment, html_path)


def _lines_of_input():
    try:
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig").readlines()
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"Standard input is no UTF-8: {error}. Convert it first, for example with iconv."
        ) from None
    return [line.rstrip("\n") for line in lines]


def _show_alignments(text_to_text, texts, in_terminal, html_path):
    from rich.console import Console

    from keras_attn.visualize import alignment_html, alignment_table
    from keras_attn.visualize.alignment import from_arrays

    examples = []
    for begin in range(0, len(texts), _TEXTS_A_BATCH):
        batch = texts[begin : begin + _TEXTS_A_BATCH]
        translated, aligned = text_to_text.translate(batch), text_to_text.align(batch)
        arrays = {name: tensor.numpy() for name, tensor in {**aligned, "score": translated["score"]}.items()}
        examples += from_arrays(batch, translated["text"].numpy(), arrays)
    if in_terminal:
        for example in examples:
            Console().print(alignment_table(example))
    if html_path:
        Path(html_path).write_text(alignment_html(examples), encoding="utf-8")
        click.echo(f"Alignments: {html_path}")
