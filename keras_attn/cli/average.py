"""`keras-attn average`."""

import shlex

import click


@click.command("average")
@click.argument("run")
@click.option("--last", type=click.IntRange(min=1), help="Of so many epochs, the last ones.")
@click.option("--best", type=click.IntRange(min=1), help="Of so many epochs, those with the best monitor.")
def command(run, last, best):
    """Average the weights of several epochs of RUN, a run folder, into its averaged.keras.

    The run must have kept them: training.average_last or training.average_best in its recipe.
    """
    if (last is None) == (best is None):
        raise click.UsageError("Expected one of --last and --best.")
    from keras_attn.training import RunFolder, average_epochs

    run = RunFolder(run)
    epochs = average_epochs(run, last=last, best=best)
    click.echo(f"{run.averaged_path}: the mean of the weights after epochs {', '.join(map(str, epochs))}")
    click.echo(f"Next: keras-attn evaluate {shlex.quote(str(run.path))} --checkpoint averaged")
