"""One id per character: `tf.strings` alone, no tensorflow-text."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary import VocabularyTokenizer
from keras_attn.typing import Tensor


class CharacterTokenizer(VocabularyTokenizer):
    """Splits text into Unicode characters.

    Bytes that are not UTF-8 count as U+FFFD; a character outside the vocabulary becomes the unknown id and is
    written back as U+FFFD. A run of Unicode spaces of any length becomes one plain space, and spaces at
    either end are dropped.

    Args:
        vocabulary: the characters in the order of their ids, the first one id 4 (after pad, start, end,
            unknown).

    Raises:
        ValueError: for an entry that is not exactly one character, or one that comes twice.
    """

    kind = "characters"
    unknown = "\ufffd"

    def __init__(self, vocabulary: Iterable[str]):
        vocabulary = list(vocabulary)
        wrong = [entry for entry in vocabulary if len(entry) != 1]
        if wrong:
            raise ValueError(f"`vocabulary` must hold single characters. Received: {wrong[0]!r}.")
        super().__init__(vocabulary)

    @classmethod
    def train(cls, lines: Iterable[str], vocabulary_size: int) -> Self:
        """Takes the most frequent characters of `lines`.

        Args:
            lines: strings.
            vocabulary_size: the largest number of ids, the four special ones among them.
        """
        counts = Counter(character for line in lines for character in " ".join(line.split()))
        by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
        return cls(sorted(by_frequency[: max(vocabulary_size - special_ids.COUNT, 0)]))

    def encode(self, text: Tensor) -> Tensor:
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.strip(tf.strings.regex_replace(text, r"[\s\x{0B}\x{85}\p{Z}]+", " "))
        return self.look_up(tf.strings.unicode_split(text, "UTF-8"))

    def decode(self, ids: Tensor) -> Tensor:
        """Ragged ids `[B, None]` to strings `[B]`; special ids write nothing but the unknown one."""
        return tf.strings.reduce_join(self.pieces(ids), axis=-1)
