"""The three sets of pairs that a recipe describes, as text."""

from collections.abc import Callable, Sequence

from keras_attn.training.data.cleaning import clean_pairs, cleaning_account
from keras_attn.training.data.pairs import Pair, read_pairs
from keras_attn.training.data.split import PairsSplit, split_pairs
from keras_attn.training.data.text_files import DataError
from keras_attn.training.recipe.recipe import Recipe


def load_corpus(recipe: Recipe, report: Callable[[str], object] = lambda line: None) -> PairsSplit:
    """Reads the pairs of a recipe; holds validation and test pairs out of `train` where they are not given.

    Only what is left to train on is cleaned (`[data.cleaning]`): scores are of all pairs there are.

    Args:
        recipe: a `Recipe`.
        report: called with one line on what was left out.

    Returns:
        `PairsSplit` of train, validation and test; the same one each time.

    Raises:
        DataError: for files that cannot be used, or if nothing is left to train on.
    """
    data = recipe.data
    train = read_pairs(data.train, data.folder)
    given = {
        name: read_pairs(spec, data.folder).pairs
        for name, spec in (("validation", data.validation), ("test", data.test))
        if spec
    }
    held_out = split_pairs(
        train,
        0 if data.validation else data.validation_size,
        0 if data.test else data.test_size,
        data.split_seed,
    )
    kept, counts = clean_pairs(held_out.train, data.cleaning)
    moved = len(train) - len(held_out.train)
    counts = {"empty": train.dropped_empty, **({"held out": moved} if moved else {}), **counts}
    report(f"Training data: {cleaning_account(len(kept), counts)}")
    corpus = held_out._replace(train=kept, **given)
    for name in ("train", "validation", "test"):
        if not getattr(corpus, name):
            raise DataError(
                f"The recipe leaves no pair for `data.{name}`. Give it a section or a larger size"
                f"{', or clean less' if name == 'train' else ''}."
            )
    return corpus


def load_part(recipe: Recipe, part: str) -> Sequence[Pair]:
    """The pairs of one part alone; the training pairs are read only where the part is held out of them.

    Args:
        recipe: a `Recipe`.
        part: "test" or "validation".

    Returns:
        A list of (source, target), the same as in `load_corpus`.
    """
    spec = getattr(recipe.data, part)
    if spec is None:
        return getattr(load_corpus(recipe), part)
    return read_pairs(spec, recipe.data.folder).pairs
