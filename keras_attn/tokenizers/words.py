"""One id a word, of text that is divided into words already."""

import json
from collections import Counter

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary_file import ending_in

_UNKNOWN = "<unk>"


class WordTokenizer(tf.Module):
    """Splits text at spaces: for text that another program has divided into words (Moses, Mecab, spaCy).

    Whatever Unicode calls a space divides words, in runs of any length, as in Python's `str.split`. Nothing
    else is done to the text: no lower-casing, no splitting of punctuation. A word outside the vocabulary
    becomes the unknown id and is written back as `<unk>`; decoded words stand one space apart. Bytes that are
    no UTF-8 count as U+FFFD.

    Args:
        vocabulary: the words in the order of their ids, the first one id 4 (after pad, start, end, unknown).

    Raises:
        ValueError: for an entry that is no single word, or one that comes twice.

    >>> tokenizer = WordTokenizer.train(["a dog and a cat", "a dog"], 1000, minimum_count=2)
    >>> tokenizer.vocabulary
    ('a', 'dog')
    >>> tokenizer.encode(tf.constant(["a cat", ""])).to_list()
    [[4, 3], []]
    """

    kind = "words"

    def __init__(self, vocabulary):
        super().__init__(name="word_tokenizer")
        vocabulary = list(vocabulary)
        wrong = [entry for entry in vocabulary if entry.split() != [entry]]
        if wrong:
            raise ValueError(
                f"`vocabulary` must hold words. Expected strings without spaces. Received: {wrong[0]!r}."
            )
        if len(set(vocabulary)) != len(vocabulary):
            twice = Counter(vocabulary).most_common(1)[0][0]
            raise ValueError(f"`vocabulary` must not repeat a word. Received {twice!r} more than once.")
        self.vocabulary = tuple(vocabulary)
        self.vocabulary_size = len(vocabulary) + special_ids.COUNT
        ids = range(special_ids.COUNT, self.vocabulary_size)
        # A table needs an entry: the empty one of an empty vocabulary is never asked for.
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(vocabulary or [""], list(ids) or [3], tf.string, tf.int32),
            default_value=special_ids.UNKNOWN,
        )

    @classmethod
    def train(cls, lines, vocabulary_size, minimum_count=1):
        """Takes the most frequent words of `lines`; `<unk>` stays unknown, as others have written it.

        Args:
            lines: strings.
            vocabulary_size: the largest number of ids, the four special ones among them.
            minimum_count: words that occur less often are left out.
        """
        counts = Counter(word for line in lines for word in line.split())
        del counts[_UNKNOWN]  # no error where it does not occur
        frequent = [word for word, count in counts.items() if count >= minimum_count]
        frequent.sort(key=lambda word: (-counts[word], word))
        return cls(frequent[: max(vocabulary_size - special_ids.COUNT, 0)])

    def encode(self, text):
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.regex_replace(text, r"[\s\x{0B}\x{1C}-\x{1F}\x{85}\p{Z}]+", " ")
        return tf.ragged.map_flat_values(self._table.lookup, tf.strings.split(text))

    def decode(self, ids):
        """Ragged ids `[B, None]` to strings `[B]`; special ids write nothing but the unknown one."""
        words = tf.ragged.boolean_mask(ids, ids >= special_ids.UNKNOWN)
        return tf.strings.reduce_join(self.pieces(words), axis=-1, separator=" ")

    def pieces(self, ids):
        """Ids of any shape to one word each: "" for pad, start and end."""
        strings = tf.constant(["", "", "", _UNKNOWN, *self.vocabulary])
        return tf.ragged.map_flat_values(tf.gather, strings, ids)

    def save(self, path):
        """Writes the vocabulary as JSON to `path` (with `.json` behind it, unless it ends so)."""
        text = json.dumps({"kind": self.kind, "vocabulary": self.vocabulary}, ensure_ascii=False, indent=0)
        ending_in(path, ".json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote."""
        return cls(json.loads(ending_in(path, ".json").read_text(encoding="utf-8"))["vocabulary"])
