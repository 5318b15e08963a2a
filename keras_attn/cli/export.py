"""`keras-attn export`."""

import shlex
from pathlib import Path

import click

from keras_attn.cli.paths import check_folder

_FORMATS = ("saved_model", "ctranslate2")


@click.command("export")
@click.argument("run")
@click.option(
    "--to",
    "base_path",
    metavar="FOLDER",
    help="The base path. Default: exports/ and the run's name, with -ctranslate2 for that format.",
)
@click.option("--version", type=click.IntRange(min=1), help="Default: one above the highest there.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True)
@click.option(
    "--checkpoint", default="auto", help="best, last, averaged or a .keras file. Default: the recipe's."
)
@click.option("--beam-size", type=click.IntRange(min=1), help="Of n_best. Default: the run's own, or 4.")
@click.option("--num-hypotheses", type=click.IntRange(min=1), help="Of n_best. Default: the beam size.")
@click.option("--in-graph-batching", is_flag=True, help="Join concurrent requests in any server.")
@click.option("--packed", type=click.Choice(["float32", "bfloat16"]), help="A Transformer packed for speed.")
def command(run, base_path, version, kind, checkpoint, **options):
    """Write RUN, a run folder, as a version of a TensorFlow Serving model, or as a CTranslate2 model."""
    from keras_attn.quiet import import_tensorflow

    if kind == "ctranslate2" and any(options.values()):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise click.UsageError(f"{names} are of saved_model.")
    name = Path(run).resolve().name + ("-ctranslate2" if kind == "ctranslate2" else "")
    base_path = Path(base_path or Path("exports") / name).absolute()
    check_folder(base_path, "--to")
    from keras_attn.export.versions import check_format, free_version
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(run)
    run.model_path(checkpoint)
    check_format(base_path, "saved_model.pb" if kind == "saved_model" else "model.bin")
    if version is not None:
        free_version(base_path, version)
    import_tensorflow()
    write = _saved_model if kind == "saved_model" else _ctranslate2
    write(run, checkpoint, base_path, version, **options)


def _saved_model(run, checkpoint, base_path, version, in_graph_batching, **options):
    from keras_attn.export import InGraphBatching, export_saved_model

    text_to_text = run.text_to_text(checkpoint)
    batching = InGraphBatching() if in_graph_batching else None
    recipe = (run.path / "recipe.toml").read_text(encoding="utf-8")
    try:
        path = export_saved_model(
            text_to_text, base_path, version=version, batching=batching, recipe=recipe, **options
        )
    except ValueError as error:  # sizes that no beam search has, a model that cannot be packed
        raise click.ClickException(str(error)) from error
    click.echo(f"Exported {path}")
    chosen = [] if checkpoint == "auto" else ["--checkpoint", checkpoint]
    click.echo(f"Check: {shlex.join(['keras-attn', 'verify', str(path), '--run', str(run.path), *chosen])}")
    flags = [f"--model_name={base_path.name}", f"--model_base_path={base_path}", "--rest_api_port=8501"]
    click.echo(f"Next: {shlex.join(['keras-attn', 'serve', *flags])}")


def _ctranslate2(run, checkpoint, base_path, version, **options):
    from keras_attn.export.ctranslate2 import export_ctranslate2

    try:
        path = export_ctranslate2(run.text_to_text(checkpoint), base_path, version=version)
    except (ImportError, ValueError) as error:  # what CTranslate2 cannot say, or it is not installed
        raise click.ClickException(str(error)) from error
    click.echo(f"Exported {path}")
    click.echo(f"Next: ctranslate2.Translator({str(path)!r})")
