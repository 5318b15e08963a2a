"""`keras-attn evaluate`."""

import click


@click.command("evaluate")
@click.argument("run")
@click.option("--on", "part", type=click.Choice(["test", "validation"]), default="test", show_default=True)
@click.option(
    "--checkpoint", default="auto", help="best, last, averaged or a .keras file. Default: the recipe's."
)
@click.option("--beam-size", type=click.IntRange(min=1), help="Default: the recipe's, as of what follows.")
@click.option("--length-penalty", type=click.FloatRange(min=0), help="GNMT's alpha, of a beam.")
@click.option("--max-length", type=click.IntRange(min=1), help="Longest output, in tokens.")
def command(run, part, checkpoint, **decoding):
    """Translate the held-out pairs of RUN, a run folder, and score them with sacreBLEU."""
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(run)
    recipe = run.recipe()
    if decoding["length_penalty"] is not None and (decoding["beam_size"] or recipe.decoding.beam_size) == 1:
        raise click.UsageError("--length-penalty is of a beam: give --beam-size too, of at least 2.")
    run.model_path(checkpoint)
    pairs = _pairs(run, recipe, part)
    import_tensorflow()
    _evaluate(run, recipe, part, pairs, checkpoint, decoding)


def _pairs(run, recipe, part):
    from keras_attn.training.data.corpus import load_part
    from keras_attn.training.data.pair_digests import has_changed

    pairs = load_part(recipe, part)
    if has_changed(run, part, pairs):
        _tell_of_change(recipe, run, part)
    return pairs


def _evaluate(run, recipe, part, pairs, checkpoint, decoding):
    from keras_attn.training.data.encoded_pairs import check_lengths
    from keras_attn.training.evaluation.evaluate import evaluate, scores_by_length

    text_to_text = run.text_to_text(checkpoint, **decoding)
    check_lengths(pairs, text_to_text.source_tokenizer, text_to_text.max_source_length, part)
    click.echo(f"Translating {len(pairs)} {part} pairs")
    scores, translations = evaluate(text_to_text, pairs, recipe.evaluation.tokenize)
    rows = scores_by_length(pairs, translations, recipe.evaluation.tokenize)
    if decoding["max_length"] is not None:
        decoding["max_length"] = text_to_text.max_length  # less where the model has no positions for more
    given = {name: value for name, value in decoding.items() if value is not None}
    told = {"checkpoint": run.checkpoint_name(checkpoint), **given, **scores, "by_length": rows}
    run.save_scores(part, told, pairs, translations)
    click.echo(f"BLEU        {scores['bleu']:.2f}   {scores['bleu_signature']}")
    click.echo(f"chrF        {scores['chrf']:.2f}   {scores['chrf_signature']}")
    click.echo(f"exact match {scores['exact_match']:.2%}")
    click.echo(_table(rows))
    click.echo(
        f"{scores['pairs']} pairs in {scores['seconds']:.1f} s. Translations: {run.translations_path(part)}"
    )


def _tell_of_change(recipe, run, part):
    if getattr(recipe.data, part) is None:
        raise click.ClickException(
            f"The {part} pairs are held out of data.train, which has changed since {run.path} began: "
            "some of them may have been trained on. Expected the same file. Put it back, or give the part "
            "a file of its own."
        )
    click.echo(f"The {part} pairs are not those that the run began with.", err=True)


def _table(rows):
    lines = [f"{'source length':>13} {'pairs':>6} {'BLEU':>6} {'chrF':>6} {'exact':>7}"]
    for row in rows:
        length = f"{row['from']} to {row['to']}"
        scores = f"{row['bleu']:>6.2f} {row['chrf']:>6.2f} {row['exact_match']:>7.1%}"
        lines.append(f"{length:>13} {row['pairs']:>6} {scores}")
    return "\n".join(lines)
