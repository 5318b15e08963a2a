"""Tokenizers of a run: trained on its pairs, and kept in its folder."""

from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature

from keras_attn import protocols
from keras_attn.tokenizers.kinds import tokenizer_class
from keras_attn.training.data.pairs import Pair
from keras_attn.training.recipe.recipe import Recipe, Tokenizer
from keras_attn.training.recipe.section import RecipeError
from keras_attn.training.run.run_folder import RunFolder

SourceAndTarget = tuple[protocols.Tokenizer, protocols.Tokenizer]


def train_tokenizers(recipe: Recipe, pairs: Sequence[Pair]) -> SourceAndTarget:
    """Trains the tokenizers that a recipe asks for.

    Args:
        recipe: a `Recipe`.
        pairs: the training pairs.

    Returns:
        (source tokenizer, target tokenizer); the same object twice where `tokenizer.shared`.

    Raises:
        RecipeError: if a tokenizer cannot be trained with these settings.
    """
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    if recipe.tokenizer.shared:
        shared = train_tokenizer(recipe.tokenizer, sources + targets)
        return shared, shared
    return train_tokenizer(recipe.tokenizer, sources), train_tokenizer(recipe.tokenizer, targets)


def tokenizers_of_run(recipe: Recipe, run: RunFolder, pairs: Sequence[Pair]) -> SourceAndTarget:
    """Loads the tokenizers of a run folder, or trains and saves them where it has none yet.

    Args:
        recipe: a `Recipe`.
        run: its `RunFolder`.
        pairs: the training pairs.

    Returns:
        (source tokenizer, target tokenizer).
    """
    tokenizers = run.tokenizers()
    if tokenizers is None:
        tokenizers = train_tokenizers(recipe, pairs)
        run.save_tokenizers(*tokenizers)
    return tokenizers


def train_tokenizer(options: Tokenizer, lines: Sequence[str]) -> protocols.Tokenizer:
    """Trains the tokenizer that a `[tokenizer]` section asks for.

    Args:
        options: the section; `train` of its kind is given those that it has parameters for.
        lines: texts.

    Raises:
        RecipeError: if it cannot be trained with these settings.
    """
    train = tokenizer_class(options.kind).train
    parameters = signature(train).parameters
    given = {name: value for name, value in asdict(options).items() if name in parameters}
    try:
        return train(lines, **given)
    except ValueError as error:
        raise RecipeError(f"cannot be trained. {error}", "tokenizer") from None
