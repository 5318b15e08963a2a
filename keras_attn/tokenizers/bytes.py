"""One id per byte: no vocabulary to train, and no text that is unknown."""

import json
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary_file import ending_in
from keras_attn.typing import StrPath, Tensor

_NUM_BYTES = 256


class ByteTokenizer(tf.Module):
    """Takes text as its UTF-8 bytes, none of them left out or changed; byte b is id 4 + b.

    Sequences are as long as the text has bytes: about one per letter in English, three per syllable in
    Korean. A model may write bytes that are not UTF-8; `decode` replaces them by U+FFFD.

    Reference: Xue et al. 2022, "ByT5", section 3.1 (which has 3 ids before those of the bytes).

    >>> tokenizer = ByteTokenizer()
    >>> tokenizer.encode(tf.constant(["a", "é", ""])).to_list()
    [[101], [199, 173], []]
    """

    kind = "bytes"
    suffix = ".json"
    vocabulary_size = special_ids.COUNT + _NUM_BYTES

    @classmethod
    def train(cls, lines: Iterable[str]) -> Self:
        """Needs nothing from `lines`: every byte has its id."""
        return cls()

    def encode(self, text: Tensor) -> Tensor:
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        return tf.ragged.map_flat_values(_ids_of_bytes, tf.strings.bytes_split(text))

    def decode(self, ids: Tensor) -> Tensor:
        """Ragged ids `[B, None]` to strings `[B]` of UTF-8; special ids write nothing but the unknown one."""
        written = [b"", b"", b"", "\ufffd".encode(), *(bytes([byte]) for byte in range(_NUM_BYTES))]
        joined = tf.strings.reduce_join(
            tf.ragged.map_flat_values(tf.gather, tf.constant(written), ids), axis=-1
        )
        return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", errors="replace")

    def pieces(self, ids: Tensor) -> Tensor:
        """Ids of any shape to a string each: an ASCII character, else `<0xEC>`, "" for special ids.

        A single byte of several would not be UTF-8, which answers over REST have to be.
        """
        names = [chr(byte) if 0x20 <= byte < 0x7F else f"<0x{byte:02X}>" for byte in range(_NUM_BYTES)]
        return tf.ragged.map_flat_values(tf.gather, tf.constant(["", "", "", "\ufffd", *names]), ids)

    def save(self, path: StrPath) -> None:
        """Writes the kind as JSON to `path`, with `.json` appended unless it ends so."""
        ending_in(path, self.suffix).write_text(json.dumps({"kind": self.kind}), encoding="utf-8")

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Reads what `save` wrote."""
        ending_in(path, cls.suffix).read_text(encoding="utf-8")
        return cls()


def _ids_of_bytes(single):
    """Strings `[N]` of one byte each to their ids `[N]`."""
    values = tf.io.decode_raw(single, tf.uint8, fixed_length=1)[:, 0]
    return tf.cast(values, tf.int32) + special_ids.COUNT
