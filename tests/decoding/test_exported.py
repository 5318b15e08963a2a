"""Every option in a SavedModel with unknown sizes, run as TensorFlow Serving does: no XLA, no Python."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import (
    BadWords,
    BeamSearch,
    Ensemble,
    GNMTLengthPenalty,
    Greedy,
    MinimumLength,
    NoRepeatNgram,
    PowerLengthPenalty,
    RelativeLength,
    RepetitionPenalty,
    Sampling,
    SuppressedTokens,
    TargetPrefix,
    decode,
    score,
)
from keras_attn.export import check_ops

START, END, SIZE = 1, 2, 7
SOURCES = [
    np.array([[1, 9, 9, 9, 9], [3, 9, 0, 0, 0], [2, 9, 9, 0, 0]], np.int32),
    np.array([[2, 9, 9]], np.int32),
]
ROW = np.array([3.0, 1.0, 2.0], np.float32)  # a setting of each row, as many as there are
PROCESSORS = [
    MinimumLength(RelativeLength(0.5, 1)),
    RepetitionPenalty(1.3),
    NoRepeatNgram(2),
    SuppressedTokens([5]),
    BadWords([[4], [3, 6, 0]]),
    TargetPrefix([[3, 6], [0, 0], [4, 0]]),
]

# Name: the strategy, and further arguments of `decode`.
CASES = {
    "greedy": (Greedy(), {}),
    "greedy_processors": (Greedy(), {"processors": PROCESSORS[:-1], "max_length": RelativeLength(1.5, 2)}),
    "beam": (BeamSearch(3, 2), {}),
    "beam_gnmt_coverage": (BeamSearch(3, 3, length_penalty=GNMTLengthPenalty(0.7), coverage_penalty=0.2), {}),
    "beam_count": (
        BeamSearch(2, 1, length_penalty=PowerLengthPenalty(), early_stopping="count", patience=1.5),
        {},
    ),
    "beam_processors": (BeamSearch(3, 2), {"processors": PROCESSORS[:-1], "max_length": RelativeLength(2)}),
    "sampling": (Sampling(0.8, top_k=5, top_p=0.9, seed=7, num_samples=3), {}),
    "sampling_whole": (Sampling(seed=11), {"processors": [NoRepeatNgram(1)]}),
}
PER_ROW = {
    "row_beam": lambda x: (
        BeamSearch(
            3,
            2,
            length_penalty=GNMTLengthPenalty(x / 3),
            coverage_penalty=x / 9,
            early_stopping="count",
            patience=x,
        ),
        {},
    ),
    "row_sampling": lambda x: (
        Sampling(x, top_k=tf.cast(x, tf.int32), top_p=x / 4, seed=tf.cast(x, tf.int32)),
        {},
    ),
    "row_processors": lambda x: (
        BeamSearch(2),
        {
            "processors": [
                MinimumLength(tf.cast(x, tf.int32)),
                RepetitionPenalty(x),
                NoRepeatNgram(tf.cast(x, tf.int32)),
                SuppressedTokens(tf.cast(x, tf.int32)[:, None] + 2),
                TargetPrefix(tf.cast(x, tf.int32)[:, None] + 3),
            ],
            "max_length": tf.cast(x, tf.int32) + 3,
        },
    ),
}


def run(decoder, case, source):
    strategy, arguments = case
    arguments = {"max_length": 7, "return_alignments": True} | arguments
    return decode(decoder, source, start_id=START, end_id=END, strategy=strategy, **arguments)


def functions(decoder):
    """What each signature computes: `name: f(source, row)`."""
    made = {name: lambda source, row, case=case: run(decoder, case, source) for name, case in CASES.items()}
    made |= {
        name: lambda source, row, case=case: run(decoder, case(row), source) for name, case in PER_ROW.items()
    }
    prefixed = (BeamSearch(3, 2), {})

    def prefix(source, row):
        forced = [TargetPrefix(tf.ragged.constant([[3, 6], [], [4]])[: tf.shape(source)[0]])]
        return run(decoder, (prefixed[0], {"processors": forced}), source)

    def ensemble(source, row):
        return run(Ensemble([decoder, decoder], average="log_probs"), prefixed, source)

    def scored(source, row):
        return score(
            decoder,
            source,
            tf.tile([[[3, 4, 2], [5, 2, 0]]], [tf.shape(source)[0], 1, 1]),
            start_id=START,
            end_id=END,
        )

    return made | {"prefix": prefix, "ensemble": ensemble, "scored": scored}


@pytest.fixture(scope="module", name="folder")
def folder_fixture(remembering, tmp_path_factory):
    rng = np.random.default_rng(5)
    module = tf.Module()
    decoder = remembering(rng.normal(0, 1.5, (4, 11, SIZE)))
    specs = [tf.TensorSpec([None, None], tf.int32, "source"), tf.TensorSpec([None], tf.float32, "row")]
    signatures = {}
    for name, function in functions(decoder).items():

        def outputs(source, row, function=function):
            anchor = tf.reduce_sum(row) * 0.0  # every signature has both inputs
            results = function(source, row)._asdict()
            return {key: tf.identity(x) for key, x in results.items()} | {"anchor": anchor}

        traced = tf.function(outputs, input_signature=specs, autograph=False)
        signatures[name] = traced.get_concrete_function()
    folder = tmp_path_factory.mktemp("exports") / "decoders"
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder, decoder


def test_no_op_is_refused(folder):
    check_ops(folder[0])


def test_a_session_gives_what_eager_gives(folder, ask_session):
    folder, decoder = folder
    batches = [{"source": source, "row": row} for source, row in zip(SOURCES, (ROW, ROW[-1:]), strict=True)]
    asked = [(name, function, inputs) for name, function in functions(decoder).items() for inputs in batches]
    answers = ask_session(folder, [(name, inputs) for name, _, inputs in asked])
    for (name, function, inputs), served in zip(asked, answers, strict=True):
        eager = function(**{key: tf.constant(x) for key, x in inputs.items()})._asdict()
        for key, expected in eager.items():
            np.testing.assert_allclose(served[key], expected, rtol=1e-4, atol=1e-5, err_msg=f"{name} {key}")


def test_a_loop_without_options_has_no_ops_for_them(remembering):
    """The body of a greedy loop finds the best token, and that is nearly all."""
    decoder = remembering(np.zeros((2, 11, SIZE)))

    def ops(**arguments):
        graph = tf.function(
            lambda source: decode(decoder, source, start_id=START, end_id=END, max_length=7, **arguments)[
                :-1
            ],
            autograph=False,
        )
        graph = graph.get_concrete_function(tf.TensorSpec([None, None], tf.int32)).graph.as_graph_def()
        body = next(f for f in graph.library.function if "while_body" in f.signature.name)
        return [node.op for node in body.node_def]

    greedy = ops()
    toy = 2  # gathers of the toy decoder itself
    assert greedy.count("GatherV2") == toy + 1  # its share of the softmax
    assert greedy.count("TopKV2") == 1
    assert not {"ScatterNd", "Pow", "Cumsum", "Max"} & set(greedy)
    assert len(ops(processors=[MinimumLength(3)])) > len(greedy)
    assert len(ops(return_alignments=True)) >= len(greedy)
    beam = ops(strategy=BeamSearch(3))
    assert beam.count("TopKV2") == 4
    assert not {"ScatterNd", "Pow", "Cumsum", "Max"} & set(beam)
