"""Significance of the difference between two runs."""

from collections.abc import Sequence
from typing import NamedTuple

import sacrebleu
from sacrebleu.significance import PairedTest

from keras_attn.training.errors import RunError
from keras_attn.training.evaluation.evaluate import bleu_metric
from keras_attn.training.run.run_folder import RunFolder


class Comparison(NamedTuple):
    """Two systems by one metric, 0 to 100.

    Attributes:
        metric: its name.
        baseline: score of the first system.
        score: score of the second one.
        baseline_interval: half of the 95 % interval around the first one's mean over the samples.
        interval: the same of the second one.
        p_value: how often chance alone would make a difference as large; 1 where there is none.
        signature: of sacreBLEU, with seed and number of samples.
    """

    metric: str
    baseline: float
    score: float
    baseline_interval: float
    interval: float
    p_value: float
    signature: str


def compare_runs(
    baseline: RunFolder, other: RunFolder, part: str = "test", samples: int = 1000
) -> list[Comparison]:
    """Compares two runs by paired bootstrap resampling of what `keras-attn evaluate` has written.

    Of the pairs, `samples` times as many are drawn with replacement, the same ones for both systems. This is
    sacreBLEU's implementation; its seed is 12345 unless SACREBLEU_SEED says otherwise.

    Args:
        baseline: a `RunFolder`.
        other: another one, evaluated on the same pairs.
        part: "test" or "validation".
        samples: number of samples.

    Returns:
        A `Comparison` for BLEU and one for chrF.

    Raises:
        RunError: if a run has no translations, or the two are of different pairs.

    Reference: Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004.
    """
    tokenize = _tokenizer(baseline, other)
    rows, other_rows = baseline.translations(part), other.translations(part)
    if [row[:2] for row in rows] != [row[:2] for row in other_rows]:
        raise RunError(
            f"{baseline.path} and {other.path} were evaluated on different {part} pairs. Expected the same "
            f"sources and references in the same order. Received: {len(rows)} and {len(other_rows)} pairs. "
            "Evaluate both on the same data."
        )
    metrics = {"BLEU": bleu_metric(tokenize), "chrF": sacrebleu.CHRF()}
    systems: list[tuple[str, Sequence[str]]] = [
        ("baseline", [row[2] for row in rows]),
        ("other", [row[2] for row in other_rows]),
    ]
    test = PairedTest(systems, metrics, [[row[1] for row in rows]], test_type="bs", n_samples=samples)
    signatures, results = test()
    return [
        _comparison(name, results[name][0], results[name][1], str(signature))
        for name, signature in signatures.items()
    ]


def _tokenizer(baseline, other):
    tokenizers = [run.recipe().evaluation.tokenize for run in (baseline, other)]
    if tokenizers[0] != tokenizers[1]:
        raise RunError(
            f"{baseline.path} and {other.path} count words differently. Expected the same "
            f"`evaluation.tokenize`. Received: {tokenizers[0]} and {tokenizers[1]}. Set it in one of "
            "the two recipe.toml, and evaluate that run again."
        )
    return tokenizers[0]


def _comparison(name, baseline, other, signature):
    # Where no sample differs sacreBLEU finds none beyond the difference of 0, which it takes for significant.
    p_value = other.p_value if other.score != baseline.score else 1.0
    return Comparison(name, baseline.score, other.score, baseline.ci, other.ci, p_value, signature)
