"""Evaluation of a run on its held-out pairs."""

from collections.abc import Callable, Sequence
from typing import Any

from keras_attn.training.data.corpus import load_part
from keras_attn.training.data.pairs import Pair
from keras_attn.training.errors import RunError
from keras_attn.training.run.pair_digests import has_changed
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.typing import StrPath


def evaluate_run(
    run: RunFolder | StrPath,
    *,
    part: str = "test",
    checkpoint: StrPath = "auto",
    beam_size: int | None = None,
    length_penalty: float | None = None,
    max_length: int | None = None,
    report: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Translates held-out pairs of a run, scores them with sacreBLEU and keeps both in its folder.

    Args:
        run: the run folder or its path.
        part: `"test"` or `"validation"`.
        checkpoint: as in `RunFolder.model_path`.
        beam_size: of the search; the recipe's when None, as for the settings that follow.
        length_penalty: strength of GNMT's length penalty, for a beam.
        max_length: largest number of target tokens.
        report: called with each line of progress.

    Returns:
        The entry of `scores.json`: `checkpoint`, the settings given, the scores of `evaluate`, and
        `by_length`, the rows of `scores_by_length`. The translations are in `run.translations(part)`.

    Raises:
        UserError: if the run has no such model, if its pairs cannot be read, or if they may have been trained
            on.
    """
    run = run if isinstance(run, RunFolder) else RunFolder(run)
    recipe = run.recipe()
    run.model_path(checkpoint)
    pairs = _held_out(run, part, report)
    text_to_text = run.text_to_text(
        checkpoint, beam_size=beam_size, length_penalty=length_penalty, max_length=max_length
    )
    from keras_attn.training.data.encoded_pairs import check_lengths
    from keras_attn.training.evaluation.evaluate import evaluate, scores_by_length

    check_lengths(pairs, text_to_text.source_tokenizer, text_to_text.max_source_length, part)
    report(f"Translating {len(pairs)} {part} pairs")
    scores, translations = evaluate(text_to_text, pairs, recipe.evaluation.tokenize)
    if max_length is not None:
        max_length = text_to_text.max_length  # less where the model has no positions for more
    settings = {"beam_size": beam_size, "length_penalty": length_penalty, "max_length": max_length}
    entry = {
        "checkpoint": run.checkpoint_name(checkpoint),
        **{name: value for name, value in settings.items() if value is not None},
        **scores,
        "by_length": scores_by_length(pairs, translations, recipe.evaluation.tokenize),
    }
    run.save_scores(part, entry, pairs, translations)
    return entry


def _held_out(run: RunFolder, part: str, report: Callable[[str], object]) -> Sequence[Pair]:
    recipe = run.recipe()
    pairs = load_part(recipe, part)
    if not has_changed(run, part, pairs):
        return pairs
    if getattr(recipe.data, part) is None:
        raise RunError(
            f"The {part} pairs are held out of data.train, which has changed since {run.path} began: "
            "some of them may have been trained on. Expected the same file. Put it back, or give the part "
            "a file of its own."
        )
    report(f"The {part} pairs are not those that the run began with.")
    return pairs
