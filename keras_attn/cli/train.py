"""`keras-attn train`."""

import shlex
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
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training.recipe.toml import load_recipe

    recipe_path = Path(recipe)
    recipe = load_recipe(recipe_path, overrides)
    run_path = Path(run_path or Path("runs") / recipe_path.stem)
    check_folder(run_path, "--run")
    from keras_attn.training.data.corpus import load_corpus
    from keras_attn.training.distribution.processes import is_alone, join_processes
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(run_path)
    if is_alone():  # of several, the first one alone has the folder
        run.check(recipe)
    lines = []
    corpus = load_corpus(recipe, lines.append)
    import_tensorflow()
    processes = join_processes()
    report = click.echo if processes.index == 0 else _silent
    for line in lines:
        report(line)
    history = _train(recipe, corpus, run, report, processes)
    if processes.index == 0:
        click.echo(_summary(history, recipe.training.monitor))
        click.echo(f"Next: keras-attn evaluate {shlex.quote(str(run.path))}")


def _train(recipe, corpus, run, report, processes):
    from keras_attn.training.data.pair_digests import hold_pairs
    from keras_attn.training.distribution.processes import check_agreement
    from keras_attn.training.fit import train
    from keras_attn.training.run.shared_run import shared_run
    from keras_attn.training.run.tokenizers import tokenizers_of_run

    def prepare():
        run.begin(recipe)
        hold_pairs(run, corpus)
        report(f"Run folder: {run.path}")
        tokenizers_of_run(recipe, run, corpus.train)

    check_agreement(processes, recipe, corpus)
    if processes.index:
        with shared_run(processes, run, prepare) as own:
            return train(recipe, corpus, own, report, processes)
    try:
        # All files of a run are written whole or not at all, so that its process may end at any moment.
        ending = prompt_end(lambda: _tell_of_stop(run))
        with ending, run.being_trained(), shared_run(processes, run, prepare) as own:
            return train(recipe, corpus, own, report, processes)
    except KeyboardInterrupt:
        _tell_of_stop(run)
        raise


def _tell_of_stop(run):
    done = run.checkpoint()
    inside = f" and {done.step} batches" if done.step else ""
    click.echo(f"\nStopped after epoch {done.epoch}{inside}. The same command resumes.", err=True)


def _silent(line):
    """The first process reports for all."""


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
