"""Beam search over real models: their states follow their hypotheses, in graphs of unknown sizes too."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Ensemble, Greedy, PowerLengthPenalty, decode, score
from keras_attn.models import ConvolutionalSeq2Seq, TransformerLanguageModel, TransformerSeq2Seq

from ..few import few

SIZE = 11
SOURCE = np.array([[5, 3, 9, 2], [7, 2, 0, 0], [4, 10, 2, 0]], np.int32)
SEARCH = BeamSearch(5, 3, length_penalty=PowerLengthPenalty())


def transformer(**settings):
    return TransformerSeq2Seq(
        SIZE,
        SIZE,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=8,
        num_heads=2,
        hidden_dim=13,
        **settings,
    )


MODELS = {
    "transformer": transformer,
    "rotary": lambda: transformer(positions="rotary", norm_first=True),
    "language model": lambda: TransformerLanguageModel(
        SIZE, num_layers=1, embedding_dim=8, num_heads=2, hidden_dim=13
    ),
    "convolutional": lambda: ConvolutionalSeq2Seq(SIZE, SIZE, embedding_dim=8),
}


@pytest.fixture(
    scope="module",
    params=few(["recurrent", *MODELS], "recurrent", "transformer", "convolutional"),
    name="model",
)
def model_fixture(request, tiny_model):
    model = tiny_model(SIZE)  # seeds
    if request.param == "recurrent":
        return model
    model = MODELS[request.param]()
    rng = np.random.default_rng(7)
    for weight in model.trainable_weights:  # else it is sure of nothing
        weight.assign(weight + rng.normal(0, 0.4, weight.shape))
    return model


@pytest.fixture(scope="module", name="decoded")
def decoded_fixture(model):
    return decode(model, SOURCE, start_id=1, end_id=2, max_length=5, strategy=SEARCH, return_alignments=True)


def test_log_probs_are_those_of_the_full_pass(model, decoded):
    forced = score(
        model, SOURCE, decoded.tokens, start_id=1, end_id=2, lengths=decoded.lengths, method="full"
    )
    np.testing.assert_allclose(decoded.log_probs, forced.log_probs, rtol=1e-4, atol=1e-4)
    assert len(np.unique(decoded.tokens.numpy().reshape(9, -1), axis=0)) > 3


def test_the_order_of_rows_changes_nothing(model, decoded):
    order = [2, 0, 1]
    permuted = decode(
        model, SOURCE[order], start_id=1, end_id=2, max_length=5, strategy=SEARCH, return_alignments=True
    )
    for one, other in zip(permuted, decoded, strict=True):
        np.testing.assert_allclose(one, other.numpy()[order], rtol=1e-4, atol=1e-4)


def test_in_a_graph_of_unknown_sizes(model, decoded):
    graph = tf.function(
        lambda source: decode(
            model, source, start_id=1, end_id=2, max_length=5, strategy=SEARCH, return_alignments=True
        ),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    for one, other in zip(graph(SOURCE), decoded, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    alone = graph(SOURCE[1:2, :2])  # without its padding
    steps = alone.tokens.shape[2]
    np.testing.assert_array_equal(alone.tokens[0], decoded.tokens[1, :, :steps])
    np.testing.assert_allclose(alone.scores[0], decoded.scores[1], rtol=1e-4)


def test_a_beam_of_one_is_greedy(model):
    one, other = (
        decode(model, SOURCE, start_id=1, end_id=2, max_length=5, strategy=strategy)
        for strategy in (BeamSearch(1), Greedy())
    )
    steps = min(one.tokens.shape[2], other.tokens.shape[2])
    np.testing.assert_array_equal(one.tokens[..., :steps], other.tokens[..., :steps])
    np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-4)


def test_an_ensemble_with_another_family(model, tiny_model):
    decoded = decode(
        Ensemble([model, tiny_model(SIZE)]),
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=5,
        strategy=SEARCH,
        return_alignments=True,
    )
    assert np.isfinite(decoded.scores).all()
    assert decoded.alignments.shape[:2] == (3, 3)
