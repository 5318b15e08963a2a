"""The tokenizers of a run: trained on its pairs, and kept in its folder."""

from keras_attn.tokenizers import ByteTokenizer, CharacterTokenizer, SentencePieceTokenizer, WordTokenizer
from keras_attn.training.recipe.section import RecipeError


def train_tokenizers(recipe, pairs):
    """Trains the tokenizers that a recipe asks for.

    Args:
        recipe: a `Recipe`.
        pairs: the training pairs.

    Returns:
        (source tokenizer, target tokenizer); the same object twice where `tokenizer.shared`.
    """
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    if recipe.tokenizer.shared:
        shared = _train_tokenizer(recipe.tokenizer, sources + targets)
        return shared, shared
    return _train_tokenizer(recipe.tokenizer, sources), _train_tokenizer(recipe.tokenizer, targets)


def tokenizers_of_run(recipe, run, pairs):
    """The tokenizers that a run folder holds; trained, and saved there, where it has none yet.

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


def _train_tokenizer(options, lines):
    if options.kind == "characters":
        return CharacterTokenizer.train(lines, options.vocabulary_size)
    if options.kind == "words":
        return WordTokenizer.train(lines, options.vocabulary_size, options.minimum_count)
    if options.kind == "bytes":
        return ByteTokenizer()
    settings = (
        options.vocabulary_size,
        options.model_type,
        options.character_coverage,
        options.byte_fallback,
    )
    try:
        return SentencePieceTokenizer.train(lines, *settings)
    except RuntimeError as error:  # a vocabulary smaller than the characters, above all
        raise RecipeError(f"cannot be trained. SentencePiece: {error}", "tokenizer") from None
