"""Training of a recipe in a run folder, from its files to its models."""

from collections.abc import Callable
from contextlib import nullcontext

from keras_attn.quiet import import_tensorflow
from keras_attn.training.data.corpus import load_corpus
from keras_attn.training.distribution.processes import check_agreement, declared_processes, join_processes
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.run.pair_digests import hold_pairs
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.training.run.shared_run import shared_run
from keras_attn.training.run.tokenizers import tokenizers_of_run
from keras_attn.typing import StrPath


def train_recipe(
    recipe: Recipe, run: RunFolder | StrPath, report: Callable[[str], object] = print
) -> RunFolder:
    """Reads the pairs of a recipe and trains its model, or resumes after the run's last checkpoint.

    The recipe, the folder and the pairs are checked before TensorFlow is imported. Several processes train
    one model where the environment names them, see `join_processes`; only the first writes the run folder.

    Args:
        recipe: of `load_recipe`.
        run: the run folder or its path; made where it does not exist.
        report: called with each line of progress, in the first process only.

    Returns:
        The `RunFolder`.

    Raises:
        UserError: for data, settings or a folder that cannot be used, and for a loss or a gradient that is
            not finite.
    """
    run = run if isinstance(run, RunFolder) else RunFolder(run)
    declared = declared_processes()
    report = report if declared.index == 0 else _silent
    if declared.count == 1:  # one of several that fails early would leave the others waiting
        run.check(recipe)
    corpus = load_corpus(recipe, report)
    import_tensorflow()
    processes = join_processes()
    check_agreement(processes, recipe, corpus)
    from keras_attn.training.fit import train

    def prepare() -> None:
        run.begin(recipe)
        hold_pairs(run, corpus)
        report(f"Run folder: {run.path}")
        tokenizers_of_run(recipe, run, corpus.train)

    lock = run.being_trained() if processes.index == 0 else nullcontext()
    with lock, shared_run(processes, run, prepare) as own:
        train(recipe, corpus, own, report, processes)
    return run


def _silent(line: str) -> None:
    """Reports nothing."""
