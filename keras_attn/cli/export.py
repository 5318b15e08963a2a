"""`keras-attn export`."""

from pathlib import Path

import click


@click.command("export")
@click.argument("run")
@click.option(
    "--to", "base_path", metavar="FOLDER", help="The base path. Default: exports/ and the run's name."
)
@click.option("--version", type=click.IntRange(min=1), help="Default: one above the highest there.")
def command(run, base_path, version):
    """Write RUN, a run folder, as a SavedModel version that TensorFlow Serving serves."""
    from keras_attn.serving.quiet import import_tensorflow

    import_tensorflow()
    from keras_attn.export import export
    from keras_attn.training.run_folder import RunFolder

    run = RunFolder(run)
    text_to_text = run.text_to_text()
    base_path = Path(base_path or Path("exports") / run.path.resolve().name).absolute()
    path = export(text_to_text, base_path, version)
    click.echo(f"Exported {path}")
    flags = f"--model_name={base_path.name} --model_base_path={base_path} --rest_api_port=8501"
    click.echo(f"Next: keras-attn serve {flags}")
