"""`keras-attn train`."""

import shlex
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from keras_attn.cli.paths import check_folder
from keras_attn.cli.prompt_end import prompt_end


@click.command("train")
@click.argument("recipe")
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe."
)
@click.option(
    "--run", "run_path", metavar="FOLDER", help="The run folder. Default: runs/ and the recipe's name."
)
def command(recipe, overrides, run_path):
    """Train the model of RECIPE, a TOML file.

    The same command resumes a training that was stopped, after its last checkpoint: the last finished epoch,
    or with training.checkpoint_steps a batch inside of one.

    On the JAX backend several processes train one model, on one machine or on many, where the environment
    names them: KERAS_BACKEND=jax, KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port of the first),
    KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID. Give all of them the same recipe, with
    training.devices = "all". The first writes the run folder.
    """
    from keras_attn.training import RunFolder, load_recipe, train_recipe
    from keras_attn.training.distribution.processes import declared_processes

    recipe_path = Path(recipe)
    recipe = load_recipe(recipe_path, overrides)
    run_path = Path(run_path or Path("runs") / recipe_path.stem)
    check_folder(run_path, "--run")
    run, is_first = RunFolder(run_path), declared_processes().index == 0
    with _stop_reported(run) if is_first else nullcontext():
        train_recipe(recipe, run, click.echo)
    if is_first:
        click.echo(_summary(run.history(), recipe.training.monitor))
        click.echo(f"Next: keras-attn evaluate {shlex.quote(str(run.path))}")


@contextmanager
def _stop_reported(run):
    """Ends soon after an interrupt and says where: all files of a run are written whole or not at all."""
    try:
        with prompt_end(lambda: _report_stop(run)):
            yield
    except KeyboardInterrupt:
        _report_stop(run)
        raise


def _report_stop(run):
    done = run.checkpoint()
    inside = f" and {done.step} batches" if done.step else ""
    click.echo(f"\nStopped after epoch {done.epoch}{inside}. The same command resumes.", err=True)


def _summary(history, monitor):
    from keras_attn.training.run.best_epoch import ranked

    best = ranked(history, monitor)[0]
    deciding = "" if monitor == "val_loss" else f"{monitor} {best[monitor]:.4g}, "
    perplexity = f"perplexity {best['val_perplexity']:.2f}, " if "val_perplexity" in best else ""
    memory = max(entry.get("peak_memory_mb", 0) for entry in history)
    return (
        f"{len(history)} epochs in {sum(entry['seconds'] for entry in history):.0f} s, at most {memory} MB. "
        f"Best: epoch {best['epoch']}, {deciding}validation loss {best['val_loss']:.4f}, {perplexity}"
        f"token accuracy {best['val_token_accuracy']:.2%}."
    )
