"""`keras-attn train`."""

from pathlib import Path

import click


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
    """
    from keras_attn.serving.quiet import import_tensorflow
    from keras_attn.training.recipe_file import load_recipe

    recipe_path = Path(recipe)
    recipe = load_recipe(recipe_path, overrides)
    import_tensorflow()
    from keras_attn.training.corpus import load_corpus
    from keras_attn.training.fit import train
    from keras_attn.training.run_folder import RunFolder

    corpus = load_corpus(recipe, click.echo)
    run = RunFolder(run_path or Path("runs") / recipe_path.stem)
    run.begin(recipe)
    click.echo(f"Run folder: {run.path}")
    try:
        history = train(recipe, corpus, run, click.echo)
    except KeyboardInterrupt:
        done = run.checkpoint()
        inside = f" and {done.step} batches" if done.step else ""
        click.echo(f"\nStopped after epoch {done.epoch}{inside}. The same command resumes.", err=True)
        raise
    click.echo(_summary(history, recipe.training.monitor))
    click.echo(f"Next: keras-attn evaluate {run.path}")


def _summary(history, monitor):
    from keras_attn.training.monitors import ranked

    best = ranked(history, monitor)[0]
    deciding = "" if monitor == "val_loss" else f"{monitor} {best[monitor]:.4g}, "
    perplexity = f"perplexity {best['val_perplexity']:.2f}, " if "val_perplexity" in best else ""
    memory = max(entry.get("peak_memory_mb", 0) for entry in history)
    return (
        f"{len(history)} epochs in {sum(entry['seconds'] for entry in history):.0f} s, at most {memory} MB. "
        f"Best: epoch {best['epoch']}, {deciding}validation loss {best['val_loss']:.4f}, {perplexity}"
        f"token accuracy {best['val_token_accuracy']:.2%}."
    )
