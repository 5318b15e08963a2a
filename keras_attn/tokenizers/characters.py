"""One id a character: `tf.strings` alone, no tensorflow-text."""

import json
from collections import Counter

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary_file import ending_in

_REPLACEMENT = "\ufffd"


class CharacterTokenizer(tf.Module):
    """Splits text into Unicode characters.

    Bytes that are no UTF-8 count as U+FFFD; a character outside the vocabulary becomes the unknown id and is
    written back as U+FFFD. Whatever Unicode calls a space, in runs of any length, becomes one plain space,
    and space at either end is dropped.

    Args:
        vocabulary: the characters in the order of their ids, the first one id 4 (after pad, start, end,
            unknown).

    Raises:
        ValueError: for an entry that is not exactly one character, or one that comes twice.
    """

    kind = "characters"

    def __init__(self, vocabulary):
        super().__init__(name="character_tokenizer")
        vocabulary = list(vocabulary)
        wrong = [entry for entry in vocabulary if len(entry) != 1]
        if wrong:
            raise ValueError(f"`vocabulary` must hold single characters. Received: {wrong[0]!r}.")
        if len(set(vocabulary)) != len(vocabulary):
            twice = Counter(vocabulary).most_common(1)[0][0]
            raise ValueError(f"`vocabulary` must not repeat a character. Received {twice!r} more than once.")
        self.vocabulary = tuple(vocabulary)
        self.vocabulary_size = len(vocabulary) + special_ids.COUNT
        ids = range(special_ids.COUNT, self.vocabulary_size)
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(vocabulary or [""], list(ids) or [3], tf.string, tf.int32),
            default_value=special_ids.UNKNOWN,
        )

    @classmethod
    def train(cls, lines, vocabulary_size):
        """Takes the most frequent characters of `lines`.

        Args:
            lines: strings.
            vocabulary_size: the largest number of ids, the four special ones among them.
        """
        counts = Counter(character for line in lines for character in " ".join(line.split()))
        by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
        return cls(sorted(by_frequency[: max(vocabulary_size - special_ids.COUNT, 0)]))

    def encode(self, text):
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.strip(tf.strings.regex_replace(text, r"[\s\x{0B}\x{85}\p{Z}]+", " "))
        characters = tf.strings.unicode_split(text, "UTF-8")
        return tf.ragged.map_flat_values(self._table.lookup, characters)

    def decode(self, ids):
        """Ragged ids `[B, None]` to strings `[B]`; special ids write nothing but the unknown one."""
        return tf.strings.reduce_join(self.pieces(ids), axis=-1)

    def pieces(self, ids):
        """Ids of any shape to one character each: "" for pad, start and end."""
        strings = tf.constant(["", "", "", _REPLACEMENT, *self.vocabulary])
        return tf.ragged.map_flat_values(tf.gather, strings, ids)

    def save(self, path):
        """Writes the vocabulary as JSON to `path` (with `.json` behind it, unless it ends so)."""
        text = json.dumps({"kind": self.kind, "vocabulary": self.vocabulary}, ensure_ascii=False, indent=0)
        ending_in(path, ".json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote."""
        return cls(json.loads(ending_in(path, ".json").read_text(encoding="utf-8"))["vocabulary"])
