"""`keras-attn compare`."""

import click


@click.command("compare")
@click.argument("baseline")
@click.argument("run")
@click.option("--on", "part", type=click.Choice(["test", "validation"]), default="test", show_default=True)
@click.option("--samples", type=click.IntRange(min=1), default=1000, show_default=True)
def command(baseline, run, part, samples):
    """Say whether RUN is better than BASELINE, and how surely: paired bootstrap resampling.

    Both are run folders that keras-attn evaluate has scored on the same pairs.
    """
    from keras_attn.training import RunFolder, compare_runs

    compared = compare_runs(RunFolder(baseline), RunFolder(run), part, samples)
    for one in compared:
        click.echo(
            f"{one.metric:6} {one.baseline:.2f} ± {one.baseline_interval:.2f} → {one.score:.2f} ± "
            f"{one.interval:.2f}   difference {one.score - one.baseline:+.2f}, p = {one.p_value:.4f}"
        )
        click.echo(f"       {one.signature}")
    surely = [one.metric for one in compared if one.p_value < 0.05]
    click.echo(
        f"The difference in {' and '.join(surely)} is significant (p < 0.05)."
        if surely
        else "No difference is significant (p < 0.05)."
    )
