"""Base of the tokenizers whose vocabulary is a list of strings."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary_file import ending_in
from keras_attn.typing import StrPath, Tensor


class VocabularyTokenizer(tf.Module):
    """Looks up the parts of a text in a table; a subclass cuts the text.

    Args:
        vocabulary: the strings in the order of their ids, the first one id 4 (after pad, start, end,
            unknown).

    Raises:
        ValueError: for an entry that comes twice.
    """

    kind: str
    suffix = ".json"
    unknown: str  # written for the unknown id

    def __init__(self, vocabulary: Iterable[str]):
        super().__init__()
        vocabulary = list(vocabulary)
        if len(set(vocabulary)) != len(vocabulary):
            twice = Counter(vocabulary).most_common(1)[0][0]
            raise ValueError(f"`vocabulary` must not repeat an entry. Received {twice!r} more than once.")
        self.vocabulary = tuple(vocabulary)
        self.vocabulary_size = len(vocabulary) + special_ids.COUNT
        ids = range(special_ids.COUNT, self.vocabulary_size)
        # A table needs an entry: the empty one of an empty vocabulary is never asked for.
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(vocabulary or [""], list(ids) or [3], tf.string, tf.int32),
            default_value=special_ids.UNKNOWN,
        )

    def look_up(self, parts: Tensor) -> Tensor:
        """Ragged strings `[B, None]` to ragged int32 ids `[B, None]`."""
        return tf.ragged.map_flat_values(self._table.lookup, parts)

    def pieces(self, ids: Tensor) -> Tensor:
        """Ids of any shape to one entry each: "" for pad, start and end."""
        strings = tf.constant(["", "", "", self.unknown, *self.vocabulary])
        return tf.ragged.map_flat_values(tf.gather, strings, ids)

    def save(self, path: StrPath) -> None:
        """Writes the vocabulary as JSON to `path`, with `.json` appended unless it ends so."""
        text = json.dumps({"kind": self.kind, "vocabulary": self.vocabulary}, ensure_ascii=False, indent=0)
        ending_in(path, self.suffix).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Reads what `save` wrote."""
        return cls(json.loads(ending_in(path, cls.suffix).read_text(encoding="utf-8"))["vocabulary"])
