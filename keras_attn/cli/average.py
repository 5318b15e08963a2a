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
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training.run.averaging import average_epochs, chosen_epochs
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(run)
    run.recipe()  # says what is wrong with a folder that is no run
    chosen_epochs(run, last, best)
    run.model_path("last")
    import_tensorflow()
    epochs = average_epochs(run, last, best)
    click.echo(f"{run.averaged_path}: the mean of the weights after epochs {', '.join(map(str, epochs))}")
    click.echo(f"Next: keras-attn evaluate {shlex.quote(str(run.path))} --checkpoint averaged")
