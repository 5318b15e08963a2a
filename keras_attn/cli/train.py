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

    The same command resumes a training that was stopped, after the last finished epoch.
    """
    from keras_attn.serving.quiet import import_tensorflow
    from keras_attn.training.recipe_file import load_recipe

    recipe_path = Path(recipe)
    recipe = load_recipe(recipe_path, overrides)
    import_tensorflow()
    from keras_attn.training.corpus import load_corpus
    from keras_attn.training.fit import train
    from keras_attn.training.run_folder import RunFolder

    corpus = load_corpus(recipe)
    run = RunFolder(run_path or Path("runs") / recipe_path.stem)
    run.begin(recipe)
    click.echo(f"Run folder: {run.path}")
    try:
        history = train(recipe, corpus, run, click.echo)
    except KeyboardInterrupt:
        click.echo(f"\nStopped after epoch {run.checkpoint()[0]}. The same command resumes.", err=True)
        raise
    best = min(history, key=lambda entry: entry["val_loss"])
    seconds = sum(entry["seconds"] for entry in history)
    click.echo(
        f"{len(history)} epochs in {seconds:.0f} s. Best: epoch {best['epoch']}, validation loss "
        f"{best['val_loss']:.4f}, token accuracy {best['val_token_accuracy']:.2%}."
    )
    click.echo(f"Next: keras-attn evaluate {run.path}")
