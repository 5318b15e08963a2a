"""`keras-attn verify`."""

import json
from pathlib import Path

import click

from keras_attn.cli.progress import Progress


@click.command("verify")
@click.argument("export", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--run", type=click.Path(path_type=Path), help="The run folder it came from: asks its model too."
)
@click.option("--checkpoint", default="auto", help="Of the run. Default: the recipe's, as when exporting.")
@click.option(
    "--inputs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Texts, one a line."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Of numbers, of the larger of 1 and their own size. Default: what rounding makes of such a model.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(export, run, checkpoint, inputs, tolerance, as_json):
    """Prove that EXPORT, a version or a base path, answers the same whichever way it is asked.

    The ways: tf.saved_model.load, a Session, and a server over REST and over gRPC; with --run also the model
    itself, without any graph. Every signature is asked with texts from the vocabulary, short and long, and
    with settings that change from row to row. The model is asked once for all texts; each other way for all
    of them, for them in reverse, for some pairs and for some alone, since no answer may depend on what else
    is in its batch. What is streamed has to become what is answered at once. All ops have to be those of
    TensorFlow Serving. Progress goes to stderr, the report to stdout.
    """
    from keras_attn.export.version_files import read_manifest, version_folder
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training.run.run_folder import RunFolder

    if checkpoint != "auto" and not run:
        raise click.UsageError("--checkpoint is of --run: give both.")
    folder = version_folder(export)
    texts = inputs and [line for line in inputs.read_bytes().splitlines() if line.strip()]
    if texts == []:
        raise click.ClickException(f"{inputs} has no text. Expected one a line. Write some, or leave it out.")
    read_manifest(folder)
    if run:
        RunFolder(run).recipe()
        RunFolder(run).model_path(checkpoint)
    import_tensorflow()
    report = _verified(folder, run and RunFolder(run), checkpoint, texts, tolerance)
    click.echo(json.dumps(report.summary(), indent=1, ensure_ascii=False) if as_json else report)
    if not report.passed:
        raise click.exceptions.Exit(1)


def _verified(folder, run, checkpoint, texts, tolerance):
    from keras_attn.cli.server_backends import served_backends
    from keras_attn.export import verify
    from keras_attn.serving.models.session import disable_xla

    xla_is_off = disable_xla()
    text_to_text = run and run.text_to_text(checkpoint)
    with Progress() as progress:
        report = verify(
            folder, text_to_text, texts=texts, tolerance=tolerance, servers=served_backends, progress=progress
        )
    if xla_is_off:
        return report
    sentence = "XLA disabled: this platform's TensorFlow has no switch; the op check looked for it"
    return report._replace(skipped=(*report.skipped, sentence))
