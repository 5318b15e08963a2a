"""Writes small exports of all families, and what to ask each: run by the Python that has keras_attn.

Usage: exports.py FOLDER
"""

import pickle
import sys
from pathlib import Path

import keras
import numpy as np

from keras_attn import TextToText, models
from keras_attn.decoding import BeamSearch, GNMTLengthPenalty
from keras_attn.export import export_saved_model, saved_model
from keras_attn.export.packed import products
from keras_attn.export.service.in_graph_batching import InGraphBatching
from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.requests import example_texts, questions
from keras_attn.tokenizers import ByteTokenizer, CharacterTokenizer, SentencePieceTokenizer, WordTokenizer

LINES = (
    "안녕하세요 세계",
    "Grüße aus Köln!",
    "ein Hund läuft über die Straße",
    "der Hund schläft 3 Stunden",
    "漢字と仮名 🙂",
)
MAX_LENGTH, MAX_SOURCE_LENGTH = 11, 37
BATCHING = InGraphBatching(max_batch_size=16, timeout_micros=1000)
SEED = 21
# Of the exports that join requests, and a stream: the other signatures differ from the rest's by the same op.
QUICKLY = ("serving_default",)
# A tokenizer of each kind, too.
TOKENIZERS = {
    "recurrent": lambda: CharacterTokenizer.train(LINES, 97),
    "convolutional": lambda: SentencePieceTokenizer.train(LINES * 3, 61),
    "transformer": lambda: WordTokenizer.train(LINES, 97),
    "language_model": ByteTokenizer,
}
MODELS = {
    "recurrent": lambda size: models.RecurrentSeq2Seq(
        size, size, embedding_dim=13, units=17, attention_units=11
    ),
    "convolutional": lambda size: models.ConvolutionalSeq2Seq(
        size, size, embedding_dim=17, encoder_convolutions=[(13, 3)] * 2, decoder_convolutions=[(13, 3)] * 2
    ),
    "transformer": lambda size: models.TransformerSeq2Seq(
        size,
        size,
        num_encoder_layers=2,
        num_decoder_layers=2,
        embedding_dim=24,
        num_heads=3,
        hidden_dim=31,
        positions="rotary",
    ),
    "language_model": lambda size: models.TransformerLanguageModel(
        size, num_layers=2, embedding_dim=24, num_heads=3, hidden_dim=31
    ),
}
# Deviations of random weights. Larger ones make attention so steep that it multiplies rounding errors, as no
# trained model does: one state in 4,000 of this language model would leave its bound with 0.7.
SCALES = {"recurrent": 0.7, "convolutional": 0.1, "transformer": 0.7, "language_model": 0.3}
STRATEGIES = {"transformer": BeamSearch(3, length_penalty=GNMTLengthPenalty(0.7))}
# Name, family, `packed`, whether concurrent requests are joined in the graph.
EXPORTS = [
    (f"{name}{suffix}", family, packed, batching)
    for name, family, packed in (
        *((family, family, None) for family in MODELS),
        ("packed_float32", "transformer", "float32"),
        ("packed_bfloat16", "transformer", "bfloat16"),
    )
    for suffix, batching in (("", None), ("_batched", BATCHING))
]


def main(folder):
    # However small the weights are, few rows want them in oneDNN's layout, as those of large models do.
    products._LAID_OUT_FROM = (0, 0)
    saved_model._check_answers = lambda *arguments, **options: None  # the servers are asked instead
    texts_to_text = {family: make(family) for family in MODELS}
    for name, family, packed, batching in EXPORTS:
        text_to_text = texts_to_text[family]
        path = export_saved_model(text_to_text, folder / name, packed=packed, batching=batching)
        asked = [*requests(text_to_text, QUICKLY if batching else INPUTS)]
        (folder / name / "requests").write_bytes(pickle.dumps(asked))
        print(path, flush=True)


def make(family):
    """A model whose outputs depend on its inputs although it is not trained."""
    keras.utils.set_random_seed(SEED)
    tokenizer = TOKENIZERS[family]()
    model = MODELS[family](tokenizer.vocabulary_size)
    rng = np.random.default_rng(SEED)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, SCALES[family], weight.shape))
    return TextToText(
        model,
        tokenizer,
        tokenizer,
        max_length=MAX_LENGTH,
        max_source_length=MAX_SOURCE_LENGTH,
        strategy=STRATEGIES.get(family),
    )


def requests(text_to_text, names):
    """(signature, inputs) of some signatures: all texts at once, one alone, and one that is streamed."""
    tokenizers = text_to_text.source_tokenizer, text_to_text.target_tokenizer
    texts = example_texts(tokenizers[0], MAX_SOURCE_LENGTH)
    asked = questions(texts, texts[::-1], tokenizers, MAX_LENGTH)
    for name in names:
        inputs = asked[name]
        yield name, inputs
        yield name, {key: array[1:2] for key, array in inputs.items()}
    streamed = {key: array[2:3] for key, array in asked["stream"].items()} | {"stream": np.array([7])}
    yield "stream", streamed
    yield "stream_events", {"wait": np.zeros(64, bool)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
