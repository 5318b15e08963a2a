"""The loop: toy Markov decoders with known answers, random ones against plain Python."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_attn.decoding import BeamSearch, Greedy, Sampling, decode, score
from keras_attn.protocols import Step

from ..bounds import assert_close

START, END = 1, 2


class Markov:
    """The next token depends on the last one alone; the row's first source id picks the table.

    Its state counts the steps, and its alignment points at the source place of that number, round and round.
    """

    def __init__(self, tables):
        self.tables = tf.constant(tables, tf.float32)  # [N, V, V]

    def start(self, source):
        return {"count": tf.zeros([tf.shape(source)[0], 1, 1], tf.int32)}, {"source": source}

    def step(self, tokens, position, state, memory):
        source, count = memory["source"], state["count"]
        with tf.control_dependencies([tf.debugging.assert_equal(count, position)]):
            table = tf.gather(self.tables, source[:, 0])  # [B, V, V]
        logits = tf.gather(table, tokens, axis=1, batch_dims=1)  # [B, K, V]
        width = tf.shape(source)[1]
        alignment = tf.one_hot(count[..., 0] % width, width)  # [B, K, S]
        return Step(logits, {"count": count + 1}, alignment)


def plain(table, max_length):
    """Greedy decoding as one would write it for a single row."""
    log_probs = table - np.logaddexp.reduce(table, axis=-1, keepdims=True)
    tokens, total, last = [], 0.0, START
    while len(tokens) < max_length and END not in tokens:
        row, last = log_probs[last], int(np.argmax(table[last]))
        tokens.append(last)
        total += row[last]
    return tokens, total, END in tokens


def path_table(*path, probability=0.5, size=7):
    """Transition logits that follow `path` with the given probability at every step."""
    table = np.full((size, size), np.log((1 - probability) / (size - 1)))
    for last, following in pairwise(path):
        table[last, following] = np.log(probability)
    return table


# Three rows: one ends at once, one after four tokens, one runs in a circle.
TABLES = np.stack(
    [path_table(START, END), path_table(START, 3, 5, 4, END, probability=0.8), path_table(START, 6, 3, 6)]
)
SOURCES = np.array([[0, 9, 9], [1, 9, 9], [2, 9, 9]], np.int32)
TERMS = 7 * TABLES.shape[-1]  # log-probabilities of seven tokens at most


def test_known_answers():
    decoded = decode(Markov(TABLES), SOURCES, start_id=START, end_id=END, max_length=5)
    assert decoded.tokens.numpy().tolist() == [[[2, 0, 0, 0, 0]], [[3, 5, 4, 2, 0]], [[6, 3, 6, 3, 6]]]
    assert decoded.lengths.numpy().tolist() == [[1], [4], [5]]
    assert decoded.finished.numpy().tolist() == [[True], [True], [False]]
    expected = np.log([[0.5], [0.8**4], [0.5**5]])
    np.testing.assert_allclose(decoded.log_probs, expected, rtol=1e-5)
    assert decoded.alignments is None
    assert [x.dtype for x in decoded[:5]] == [tf.int32, tf.int32, tf.float32, tf.float32, tf.bool]
    np.testing.assert_array_equal(decoded.scores, decoded.log_probs)


def test_the_loop_stops_with_the_last_end():
    decoded = decode(Markov(TABLES), SOURCES[:2], start_id=START, end_id=END, max_length=1000)
    assert decoded.tokens.shape == (2, 1, 4)


@pytest.mark.parametrize(("max_length", "finished"), [(0, False), (3, False), (4, True), (5, True)])
def test_unfinished_is_marked_at_max_length(max_length, finished):
    decoded = decode(Markov(TABLES), SOURCES[1:2], start_id=START, end_id=END, max_length=max_length)
    assert bool(decoded.finished[0, 0]) is finished
    assert int(decoded.lengths[0, 0]) == min(max_length, 4)
    assert float(decoded.log_probs[0, 0]) == pytest.approx(min(max_length, 4) * np.log(0.8), rel=1e-5)


@st.composite
def markov_decoders(draw):
    tables = draw(st.integers(1, 3))
    size = draw(st.integers(3, 7))
    table = arrays(np.float32, (tables, size, size), elements=st.floats(-9, 9, width=32))
    return (
        draw(table),
        draw(st.lists(st.integers(0, tables - 1), min_size=1, max_size=5)),
        draw(st.integers(0, 11)),
    )


@given(markov_decoders())
@settings(max_examples=41)
def test_against_plain_python(case):
    """Any table: also those that write the pad or start token."""
    tables, rows, max_length = case
    source = np.array(rows, np.int32)[:, None]
    decoded = decode(Markov(tables), source, start_id=START, end_id=END, max_length=max_length)
    assert decoded.tokens.shape[2] <= max_length
    for index, row in enumerate(rows):
        tokens, log_prob, finished = plain(tables[row], max_length)
        received = decoded.tokens[index, 0].numpy().tolist()
        assert received == tokens + [0] * (len(received) - len(tokens))
        assert int(decoded.lengths[index, 0]) == len(tokens)
        assert bool(decoded.finished[index, 0]) is finished
        assert float(decoded.log_probs[index, 0]) == pytest.approx(log_prob, rel=1e-4, abs=1e-4)


def test_a_limit_for_every_row():
    """What a row gets with its own limit is what it gets alone; the longest limit is the loop's."""
    limits = [3, 0, 7, 2]
    rows = [2, 1, 2, 1]
    together = decode(
        Markov(TABLES),
        SOURCES[rows],
        start_id=START,
        end_id=END,
        max_length=tf.constant(limits),
        return_alignments=True,
    )
    assert together.tokens.shape[2] == 7
    for index, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        alone = decode(
            Markov(TABLES),
            SOURCES[row : row + 1],
            start_id=START,
            end_id=END,
            max_length=limit,
            return_alignments=True,
        )
        length = alone.tokens.shape[2]
        np.testing.assert_array_equal(together.tokens[index, :, :length], alone.tokens[0])
        assert not together.tokens[index, :, length:].numpy().any()
        assert not together.alignments[index, :, length:].numpy().any()
        for name in ("lengths", "finished"):
            np.testing.assert_array_equal(getattr(together, name)[index], getattr(alone, name)[0])
        assert_close(together.log_probs[index], alone.log_probs[0], TERMS)


def test_a_limit_does_not_end_a_hypothesis_where_the_end_token_is_0():
    decoded = decode(
        Markov(TABLES), SOURCES[[2, 2]], start_id=START, end_id=0, max_length=tf.constant([3, 5])
    )
    assert decoded.lengths.numpy().tolist() == [[3], [5]]
    assert not decoded.finished.numpy().any()


def test_nothing_after_the_end_counts():
    """After its end the first row would go on with probability 0.9 or 0.1 a step: neither is seen."""
    results = []
    for probability in (0.9, 0.1):
        tables = TABLES.copy()
        tables[0, END], tables[0, 0] = np.log(1 - probability), np.log(probability)
        results.append(
            decode(Markov(tables), SOURCES, start_id=START, end_id=END, max_length=5, return_alignments=True)
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(results[0].log_probs[0, 0]) == pytest.approx(np.log(0.5), rel=1e-5)


def test_the_batch_equals_its_rows_alone_in_any_order():
    order = [2, 0, 1, 1]
    together = decode(
        Markov(TABLES), SOURCES[order], start_id=START, end_id=END, max_length=7, return_alignments=True
    )
    for index, row in enumerate(order):
        alone = decode(
            Markov(TABLES),
            SOURCES[row : row + 1],
            start_id=START,
            end_id=END,
            max_length=7,
            return_alignments=True,
        )
        length = alone.tokens.shape[2]
        np.testing.assert_array_equal(together.tokens[index, :, :length], alone.tokens[0])
        np.testing.assert_array_equal(together.alignments[index, :, :length], alone.alignments[0])
        for name in ("lengths", "finished"):
            np.testing.assert_array_equal(getattr(together, name)[index], getattr(alone, name)[0])
        assert_close(together.log_probs[index], alone.log_probs[0], TERMS)


def test_alignments_are_zero_after_the_end():
    alignments = decode(
        Markov(TABLES), SOURCES, start_id=START, end_id=END, max_length=5, return_alignments=True
    ).alignments
    assert alignments.shape == (3, 1, 5, 3)
    one_hot = np.eye(3)[[0, 1, 2, 0, 1]]
    for row, length in enumerate([1, 4, 5]):
        expected = one_hot * (np.arange(5) < length)[:, None]
        np.testing.assert_array_equal(alignments[row, 0], expected)


@pytest.mark.parametrize("return_alignments", [False, True])
def test_inside_a_graph_with_unknown_sizes_and_a_length_tensor(return_alignments):
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)]

    @tf.function(input_signature=signature)
    def graph(source, max_length):
        return decode(
            Markov(TABLES),
            source,
            start_id=START,
            end_id=END,
            max_length=max_length,
            return_alignments=return_alignments,
        )

    for rows, max_length in (([0, 1, 2], 5), ([1], 3), ([], 7)):
        traced = graph(SOURCES[rows], max_length)
        eager = decode(
            Markov(TABLES),
            SOURCES[rows],
            start_id=START,
            end_id=END,
            max_length=max_length,
            return_alignments=return_alignments,
        )
        assert (traced.alignments is not None) is return_alignments
        for one, other in zip(tf.nest.flatten(traced), tf.nest.flatten(eager), strict=True):
            if one is not None:
                assert_close(one, other, TERMS)


def test_an_empty_batch_has_empty_results():
    decoded = decode(
        Markov(TABLES), SOURCES[:0], start_id=START, end_id=END, max_length=5, return_alignments=True
    )
    shapes = [tuple(x.shape) for x in decoded]
    assert shapes == [(0, 1, 0), (0, 1), (0, 1), (0, 1), (0, 1), (0, 1, 0, 3)]


def test_half_precision_logits_are_summed_in_float32():
    class Half(Markov):
        def step(self, *arguments):
            step = super().step(*arguments)
            return step._replace(logits=tf.cast(step.logits, tf.float16))

    exact = decode(Markov(TABLES), SOURCES, start_id=START, end_id=END, max_length=5)
    half = decode(Half(TABLES), SOURCES, start_id=START, end_id=END, max_length=5)
    np.testing.assert_array_equal(half.tokens, exact.tokens)
    assert half.log_probs.dtype == tf.float32
    np.testing.assert_allclose(half.log_probs, exact.log_probs, atol=0.01)


def test_a_strategy_with_two_hypotheses():
    """Two hypotheses a row, the second takes the second best: the loop keeps them apart."""

    class BestTwo(Greedy):
        num_hypotheses = 2

        def choose(self, choices, position, task):
            log_probs, tokens = tf.math.top_k(tf.nn.log_softmax(choices.logits), 2)
            return tf.linalg.diag_part(tokens), tf.linalg.diag_part(log_probs)

    table = path_table(START, 3, END, probability=0.6)
    table[START, 4], table[4, 5], table[4, 6] = -1.2, 0.0, -0.5
    table[6] = path_table(6, 5, END)[6]
    decoded = decode(
        Markov(table[None]),
        SOURCES[:1],
        start_id=START,
        end_id=END,
        max_length=2,
        strategy=BestTwo(),
        return_alignments=True,
    )
    assert decoded.tokens.numpy().tolist() == [[[3, 2], [4, 6]]]
    assert decoded.finished.numpy().tolist() == [[True, False]]
    assert decoded.alignments.shape == (1, 2, 2, 3)
    log_probs = table - np.logaddexp.reduce(table, axis=-1, keepdims=True)
    expected = [log_probs[START, 3] + log_probs[3, END], log_probs[START, 4] + log_probs[4, 6]]
    np.testing.assert_allclose(decoded.log_probs[0], expected, rtol=1e-5)


def test_a_state_whose_time_axis_grows():
    """A cache that grows by one a step, as a Transformer's does."""

    class Growing(Markov):
        def start(self, source):
            state, memory = super().start(source)
            return state | {"cache": tf.zeros([tf.shape(source)[0], 1, 0, 5])}, memory

        def step(self, tokens, position, state, memory):
            new = tf.ones(tf.concat([tf.shape(tokens), [1, 5]], axis=0))  # [B, K, 1, 5]
            cache = tf.concat([state["cache"], new], axis=2)
            step = super().step(tokens, position, {"count": state["count"]}, memory)
            with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(cache)[2], position + 1)]):
                return step._replace(state=step.state | {"cache": tf.identity(cache)})

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def graph(source):
        return decode(Growing(TABLES), source, start_id=START, end_id=END, max_length=5).tokens

    np.testing.assert_array_equal(
        graph(SOURCES), decode(Markov(TABLES), SOURCES, start_id=START, end_id=END, max_length=5).tokens
    )


class Bigrams:
    """A decoder that remembers nothing."""

    def __init__(self, table):
        self.table = tf.constant(table, tf.float32)  # [V, V]

    def start(self, source):
        return (), {"width": tf.shape(source)[1]}

    def step(self, tokens, position, state, memory):
        logits = tf.gather(self.table, tokens)  # [B, K, V]
        return Step(logits, (), tf.zeros([*tf.unstack(tf.shape(tokens)), memory["width"]]))


def test_a_decoder_without_a_state(rng):
    decoder = Bigrams(rng.normal(size=(5, 5)))
    source = np.ones((2, 3), np.int32)
    beam = decode(
        decoder, source, start_id=1, end_id=2, max_length=4, strategy=BeamSearch(4, num_hypotheses=3)
    )
    scored = score(decoder, source, beam.tokens, start_id=1, end_id=2, lengths=beam.lengths)
    np.testing.assert_allclose(scored.log_probs, beam.log_probs, rtol=1e-5)
    assert decode(
        decoder, source, start_id=1, end_id=2, max_length=4, strategy=Sampling(num_samples=3, seed=7)
    ).tokens.shape[:2] == (2, 3)


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3)], ids=["greedy", "beam"])
@pytest.mark.parametrize("kind", [np.int64, partial(tf.constant, dtype=tf.int64)], ids=["numpy", "tensor"])
def test_ids_of_any_integer_type(rng, strategy, kind):
    decoder, source = Bigrams(rng.normal(size=(5, 5))), np.ones((2, 3), np.int32)
    expected = decode(decoder, source, start_id=1, end_id=2, max_length=4, strategy=strategy)
    made = tf.function(
        lambda: decode(decoder, source, start_id=kind(1), end_id=kind(2), max_length=4, strategy=strategy)
    )()
    for run in (
        made,
        decode(decoder, source, start_id=kind(1), end_id=kind(2), max_length=4, strategy=strategy),
    ):
        np.testing.assert_array_equal(run.tokens, expected.tokens)
    scored = score(decoder, source, expected.tokens[:, 0], start_id=kind(1), end_id=kind(2))
    assert scored.lengths.shape == (2,)
