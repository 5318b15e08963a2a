"""`keras-attn evaluate`."""

from functools import partial

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
    from keras_attn.training import RunFolder, evaluate_run
    from keras_attn.training.recipe.monitors import SCORES

    run = RunFolder(run)
    beam_size = decoding["beam_size"] or run.recipe().decoding.beam_size
    if decoding["length_penalty"] is not None and beam_size == 1:
        raise click.UsageError("--length-penalty is of a beam: give --beam-size too, of at least 2.")
    report = partial(click.echo, err=True)
    scores = evaluate_run(run, part=part, checkpoint=checkpoint, report=report, **decoding)
    for name, (heading, form) in SCORES.items():
        signature = scores.get(f"{name}_signature", "")
        click.echo(f"{heading:11} {scores[name]:{form}}   {signature}".rstrip())
    click.echo(_table(scores["by_length"], SCORES))
    click.echo(
        f"{scores['pairs']} pairs in {scores['seconds']:.1f} s. Translations: {run.translations_path(part)}"
    )


def _table(rows, columns):
    widths = {name: max(len(heading), 6) for name, (heading, _) in columns.items()}
    headings = " ".join(f"{heading:>{widths[name]}}" for name, (heading, _) in columns.items())
    lines = [f"{'source length':>13} {'pairs':>6} {headings}"]
    for row in rows:
        length = f"{row['from']} to {row['to']}"
        scores = " ".join(f"{row[name]:>{widths[name]}{form}}" for name, (_, form) in columns.items())
        lines.append(f"{length:>13} {row['pairs']:>6} {scores}")
    return "\n".join(lines)
