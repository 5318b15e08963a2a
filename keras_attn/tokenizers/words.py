"""One id per word, of text that is divided into words already."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary import VocabularyTokenizer
from keras_attn.typing import Tensor


class WordTokenizer(VocabularyTokenizer):
    """Splits text at spaces: for text that another program has divided into words (Moses, Mecab, spaCy).

    Runs of Unicode spaces of any length divide words, as in Python's `str.split`. Nothing else is done to the
    text: no lower-casing, no splitting of punctuation. A word outside the vocabulary becomes the unknown id
    and is written back as `<unk>`; decoded words are one space apart. Bytes that are not UTF-8 count as
    U+FFFD.

    Args:
        vocabulary: the words in the order of their ids, the first one id 4 (after pad, start, end, unknown).

    Raises:
        ValueError: for an entry that is not a single word, or one that comes twice.

    >>> tokenizer = WordTokenizer.train(["a dog and a cat", "a dog"], 1000, minimum_count=2)
    >>> tokenizer.vocabulary
    ('a', 'dog')
    >>> tokenizer.encode(tf.constant(["a cat", ""])).to_list()
    [[4, 3], []]
    """

    kind = "words"
    unknown = "<unk>"

    def __init__(self, vocabulary: Iterable[str]):
        vocabulary = list(vocabulary)
        wrong = [entry for entry in vocabulary if entry.split() != [entry]]
        if wrong:
            raise ValueError(
                f"`vocabulary` must hold words. Expected strings without spaces. Received: {wrong[0]!r}."
            )
        super().__init__(vocabulary)

    @classmethod
    def train(cls, lines: Iterable[str], vocabulary_size: int, minimum_count: int = 1) -> Self:
        """Takes the most frequent words of `lines`; `<unk>` stays unknown, as others have written it.

        Args:
            lines: strings.
            vocabulary_size: the largest number of ids, the four special ones among them.
            minimum_count: words that occur less often are left out.
        """
        counts = Counter(word for line in lines for word in line.split())
        del counts[cls.unknown]  # no error where it does not occur
        frequent = [word for word, count in counts.items() if count >= minimum_count]
        frequent.sort(key=lambda word: (-counts[word], word))
        return cls(frequent[: max(vocabulary_size - special_ids.COUNT, 0)])

    def encode(self, text: Tensor) -> Tensor:
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.regex_replace(text, r"[\s\x{0B}\x{1C}-\x{1F}\x{85}\p{Z}]+", " ")
        return self.look_up(tf.strings.split(text))

    def decode(self, ids: Tensor) -> Tensor:
        """Ragged ids `[B, None]` to strings `[B]`; special ids write nothing but the unknown one."""
        words = tf.ragged.boolean_mask(ids, ids >= special_ids.UNKNOWN)
        return tf.strings.reduce_join(self.pieces(words), axis=-1, separator=" ")
