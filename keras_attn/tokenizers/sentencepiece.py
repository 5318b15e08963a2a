"""Subwords by SentencePiece: trained by the `sentencepiece` library, run in graph by tensorflow-text."""

import hashlib
import io
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from keras_attn.extras import require
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.vocabulary_file import ending_in
from keras_attn.typing import StrPath, Tensor


class SentencePieceTokenizer(tf.Module):
    """Splits text into subwords with a SentencePiece model, inside the TensorFlow graph.

    Args:
        model_proto: the bytes of a SentencePiece model whose pad, start, end and unknown ids are 0, 1, 2 and
            3, as `train` makes them.

    Raises:
        ValueError: if the model has other special ids.

    Reference: Kudo and Richardson, "SentencePiece", EMNLP 2018.
    """

    kind = "sentencepiece"
    suffix = ".model"

    def __init__(self, model_proto: bytes):
        require("sentencepiece", "tensorflow_text")
        import sentencepiece

        super().__init__(name="sentencepiece_tokenizer")
        processor = sentencepiece.SentencePieceProcessor(model_proto=model_proto)
        received = (processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id())
        expected = (special_ids.PAD, special_ids.START, special_ids.END, special_ids.UNKNOWN)
        if received != expected:
            raise ValueError(
                f"The SentencePiece model must have (pad, start, end, unknown) ids {expected}. "
                f"Received: {received}. Train it with pad_id=0, bos_id=1, eos_id=2, unk_id=3."
            )
        self.model_proto = model_proto
        self.vocabulary_size = processor.get_piece_size()
        self._tokenizer = _lasting_tokenizer(model_proto)

    @classmethod
    def train(
        cls,
        lines: Iterable[str],
        vocabulary_size: int,
        model_type: str = "unigram",
        character_coverage: float = 1.0,
        byte_fallback: bool = False,
    ) -> Self:
        """Trains a model on `lines`.

        Args:
            lines: strings.
            vocabulary_size: number of ids; fewer where the text does not give as many.
            model_type: "unigram" or "bpe".
            character_coverage: share of the characters' occurrences that get a piece of their own.
            byte_fallback: spell characters that have no piece as bytes, instead of the unknown id.

        Raises:
            ValueError: if SentencePiece refuses, above all a vocabulary smaller than the characters.
        """
        require("sentencepiece", "tensorflow_text")
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                vocab_size=vocabulary_size,
                hard_vocab_limit=False,
                model_type=model_type,
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                pad_id=special_ids.PAD,
                bos_id=special_ids.START,
                eos_id=special_ids.END,
                unk_id=special_ids.UNKNOWN,
                max_sentence_length=1 << 16,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(f"SentencePiece: {error}") from None
        return cls(model.getvalue())

    def encode(self, text: Tensor) -> Tensor:
        """Strings `[B]` to ragged int32 ids `[B, None]`."""
        return self._tokenizer.tokenize(text)

    def decode(self, ids: Tensor) -> Tensor:
        """Ragged ids `[B, None]` to strings `[B]`."""
        return self._tokenizer.detokenize(ids)

    def pieces(self, ids: Tensor) -> Tensor:
        """Ids of any shape to their pieces: "" for pad, start and end."""
        names = tf.ragged.map_flat_values(self._tokenizer.id_to_string, ids)
        special = tf.ragged.map_flat_values(lambda flat: flat < special_ids.UNKNOWN, ids)
        return tf.where(special, tf.zeros_like(names), names)

    def save(self, path: StrPath) -> None:
        """Writes the model to `path`, with `.model` appended unless it ends so."""
        ending_in(path, self.suffix).write_bytes(self.model_proto)

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Reads what `save` wrote."""
        return cls(ending_in(path, cls.suffix).read_bytes())


def _lasting_tokenizer(model_proto):
    """tensorflow-text's tokenizer, its model under a name of its own.

    Without a name, the model belongs to the kernel that made it and is gone as soon as TensorFlow clears its
    kernels, which `tf.random.set_seed` does. `tf.lookup` names its tables for the same reason.
    """
    from tensorflow_text.python.ops import sentencepiece_tokenizer as library

    name = f"sentencepiece_{hashlib.sha256(model_proto).hexdigest()}"

    class Model(library._SentencepieceModelResource):
        def _create_resource(self):
            return library.gen_sentencepiece_tokenizer.sentencepiece_op(model=model_proto, shared_name=name)

    tokenizer = library.SentencepieceTokenizer(model_proto, out_type=tf.int32)
    tokenizer._model_resource = Model(model_proto, None)
    return tokenizer
