"""`keras-attn evaluate`."""

import click


@click.command("evaluate")
@click.argument("run")
@click.option("--on", "part", type=click.Choice(["test", "validation"]), default="test", show_default=True)
def command(run, part):
    """Translate the held-out pairs of RUN, a run folder, and score them with sacreBLEU."""
    from keras_attn.serving.quiet import import_tensorflow

    import_tensorflow()
    from keras_attn.training.corpus import load_corpus
    from keras_attn.training.evaluate import evaluate
    from keras_attn.training.run_folder import RunFolder

    run = RunFolder(run)
    recipe = run.recipe()
    text_to_text = run.text_to_text()
    pairs = getattr(load_corpus(recipe), part)
    click.echo(f"Translating {len(pairs)} {part} pairs")
    scores, translations = evaluate(text_to_text, pairs, recipe.evaluation.tokenize)
    run.save_scores(part, scores, pairs, translations)
    click.echo(f"BLEU        {scores['bleu']:.2f}   {scores['bleu_signature']}")
    click.echo(f"chrF        {scores['chrf']:.2f}   {scores['chrf_signature']}")
    click.echo(f"exact match {scores['exact_match']:.2%}")
    click.echo(
        f"{scores['pairs']} pairs in {scores['seconds']:.1f} s. Translations: {run.translations_path(part)}"
    )
