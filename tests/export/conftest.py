"""One tiny export of every family, and requests to ask it."""

from types import SimpleNamespace

import numpy as np
import pytest

from ..few import few

FAMILIES = ("recurrent", "convolutional", "transformer", "language_model")
# Lengths of 0 to 29 characters, two scripts, a plane-1 character.
TEXTS = ["안녕하세요 세계", "Grüße aus Köln!", "", "ein Hund läuft über die Straße", "漢字 🙂", "x", "Hund"]
MAX_LENGTH, MAX_SOURCE_LENGTH = 11, 31


@pytest.fixture(scope="session", params=few(FAMILIES, "transformer"))
def family(request, tokenizers, built_once, unchecked):
    """An untrained model, `text_to_text`, its `service`, its export at `path`, the family's `name`, and the
    `tolerance` of its answers."""
    import keras_attn
    from keras_attn.decoding import BeamSearch, GNMTLengthPenalty
    from keras_attn.export import export_saved_model
    from keras_attn.export.service.service import Service
    from keras_attn.export.verification.tolerance import tolerance_of

    kind = "sentencepiece" if request.param == "convolutional" else "characters"
    tokenizer = getattr(tokenizers, kind)
    strategy = (
        BeamSearch(3, length_penalty=GNMTLengthPenalty(0.7)) if request.param == "transformer" else None
    )
    text_to_text = keras_attn.TextToText(
        family_model(request.param, tokenizer.vocabulary_size),
        tokenizer,
        tokenizer,
        max_length=MAX_LENGTH,
        max_source_length=MAX_SOURCE_LENGTH,
        strategy=strategy,
    )

    def build(folder):
        with unchecked():
            return export_saved_model(text_to_text, folder / request.param, num_hypotheses=2)

    return SimpleNamespace(
        name=request.param,
        text_to_text=text_to_text,
        service=Service(text_to_text, num_hypotheses=2),
        tolerance=tolerance_of(text_to_text, [text.encode() for text in TEXTS]),
        path=built_once(f"family-{request.param}", build),
    )


def family_model(name, size):
    """A model whose outputs depend on its inputs although it is not trained."""
    import keras

    from keras_attn import models

    keras.utils.set_random_seed(21)
    model = {
        "recurrent": lambda: models.RecurrentSeq2Seq(
            size, size, embedding_dim=5, units=7, attention_units=3, dropout=0.0
        ),
        "convolutional": lambda: models.ConvolutionalSeq2Seq(
            size, size, embedding_dim=7, encoder_convolutions=[(5, 3)], decoder_convolutions=[(5, 3)]
        ),
        "transformer": lambda: models.TransformerSeq2Seq(
            size,
            size,
            num_encoder_layers=1,
            num_decoder_layers=1,
            embedding_dim=6,
            num_heads=2,
            hidden_dim=11,
            dropout=0.0,
        ),
        "language_model": lambda: models.TransformerLanguageModel(
            size, num_layers=1, embedding_dim=6, num_heads=2, hidden_dim=11, dropout=0.0
        ),
    }[name]()
    rng = np.random.default_rng(21)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.7, weight.shape))
    return model


@pytest.fixture(scope="session", name="request_of")
def request_of_fixture():
    """`request_of(signature, rows)`: every input for some of `TEXTS`, by their numbers."""
    return request_of


def request_of(name, rows):
    """Every input of a signature for some of `TEXTS`; options differ from row to row."""
    rows = np.array(rows, int)
    of = {
        "text": np.array([text.encode() for text in TEXTS], object),
        "target": np.array([b"Hund", b"", "Köln".encode(), b"ein", b"die Stra", b"a", b"3"], object),
        "target_prefix": np.array([b"", b"H", b"", b"ei", b"", "세".encode(), b""], object),
        "max_length": np.array([11, 7, 5, 11, 3, 2, 10], np.int32),
        "length_penalty": np.array([0, 0.5, 1, 0.7, 2, 0, 0.1], np.float32),
        "temperature": np.array([1, 0.5, 2, 0.1, 1, 3, 0.9], np.float32),
        "top_k": np.array([0, 1, 5, 0, 3, 2, 7], np.int32),
        "top_p": np.array([1, 1, 0.5, 0.9, 0.7, 1, 0.2], np.float32),
        "seed": np.array([3, 1, 4, 1, 5, 9, 2], np.int64),
        "stream": np.full(7, -1, np.int64),
        "wait": np.zeros(7, bool),
        "lengths": np.array([3, 1, 0, 2, 3, 3, 2], np.int32),
        "ids": np.array(
            [[20, 31, 12], [9, 9, 9], [8, 30, 8], [11, 4, 0], [41, 5, 33], [7, 28, 4], [16, 44, 1]], np.int32
        ),
    }
    from keras_attn.export.service.signatures import INPUTS

    return {key: of[key][rows] for key in INPUTS[name]}
