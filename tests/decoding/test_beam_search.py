"""Beam search against every hypothesis there is, and narrow beams against a plain one in Python."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.decoding import (
    BeamSearch,
    GNMTLengthPenalty,
    Greedy,
    MinimumLength,
    NoRepeatNgram,
    PowerLengthPenalty,
    SuppressedTokens,
    decode,
    score,
)

from ..bounds import assert_close
from .beam_oracle import END, START, Oracle, plain_beam

SIZE = 4
TERMS = 7 * 7  # tokens, and a sum over the vocabulary for each
ROWS = 7


def decoded_by(decoder, source, max_length, strategy=None, **options):
    options |= {"start_id": START, "end_id": END, "max_length": max_length, "strategy": strategy}
    return decode(decoder, source, **options)


def penalty_of(name, alpha):
    return {
        "none": None,
        "gnmt": GNMTLengthPenalty(alpha),
        "power": PowerLengthPenalty(alpha),
        "power without end": PowerLengthPenalty(alpha, count_end=False),
    }[name]


def assert_is(decoded, row, oracle, hypotheses, alignments=False):
    """Row `row` of the result holds these hypotheses, with their own scores."""
    for n, tokens in enumerate(hypotheses):
        received = decoded.tokens[row, n].numpy().tolist()
        assert received == [*tokens] + [0] * (len(received) - len(tokens))
        assert int(decoded.lengths[row, n]) == len(tokens)
        assert bool(decoded.finished[row, n]) is (END in tokens)
        assert float(decoded.log_probs[row, n]) == pytest.approx(oracle.log_prob(tokens), abs=1e-4)
        assert float(decoded.scores[row, n]) == pytest.approx(oracle.score(tokens), abs=1e-4)
        if alignments:
            alignment = decoded.alignments[row, n].numpy()
            np.testing.assert_array_equal(alignment[: len(tokens)], oracle.alignment(tokens))
            assert not alignment[len(tokens) :].any()


def sources(rows, width):
    """Row r has table r; no id is 0, for that would be a pad."""
    source = np.full((rows, width), 9, np.int32)
    source[:, 0] = np.arange(rows)
    return source


@st.composite
def searches(draw):
    """Tables of random rows (row 0 is never decoded: its id would be a pad) and settings."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tables = rng.normal(0, draw(st.sampled_from([0.3, 1.0, 3.0])), (ROWS + 1, 11, SIZE))
    penalty = draw(st.sampled_from(["none", "gnmt", "power", "power without end"]))
    alpha = draw(st.sampled_from([-0.7, 0.4, 1.0, 2.3]))
    beta = draw(st.sampled_from([0.0, 0.3]))
    max_length = draw(st.integers(1, 4))
    return tables, penalty, alpha, beta, max_length, draw(st.sampled_from(["exact", "never"]))


@given(searches())
@settings(max_examples=17)
def test_a_wide_beam_finds_what_trying_everything_finds(remembering, case):
    tables, penalty, alpha, beta, max_length, early_stopping = case
    beam_size = SIZE * (SIZE - 1) ** (max_length - 1)  # all candidates of the last step
    search = BeamSearch(
        beam_size,
        min(5, beam_size),
        length_penalty=penalty_of(penalty, alpha),
        coverage_penalty=beta,
        early_stopping=early_stopping,
    )
    decoded = decoded_by(
        remembering(tables), sources(ROWS + 1, 3)[1:], max_length, search, return_alignments=True
    )
    for row in range(ROWS):
        oracle = Oracle(tables[row + 1], 3, penalty, alpha, beta)
        expected = oracle.everything(max_length)[: search.num_hypotheses]
        assert_is(decoded, row, oracle, expected, alignments=True)


@given(searches(), st.integers(1, 3), st.integers(0, 2), st.sampled_from([0, 1, 3, END]))
@settings(max_examples=11)
def test_restrictions_leave_the_best_of_what_is_allowed(remembering, case, minimum, size, suppressed):
    """A wide beam under processors against all hypotheses that keep to them."""
    tables, penalty, alpha, _, _, early_stopping = case
    search = BeamSearch(
        SIZE * 27, 3, length_penalty=penalty_of(penalty, alpha), early_stopping=early_stopping
    )
    processors = [MinimumLength(minimum), NoRepeatNgram(size), SuppressedTokens([suppressed])]
    decoder = remembering(tables)
    decoded = decoded_by(decoder, sources(ROWS + 1, 3)[1:], 4, search, processors=processors)

    def allowed(tokens):
        ngrams = [tokens[t : t + size] for t in range(len(tokens) - size + 1)] if size else []
        ended_well = END not in tokens or (len(tokens) >= minimum and suppressed != END)
        return ended_well and suppressed not in tokens and len(set(ngrams)) == len(ngrams)

    for row in range(ROWS):
        oracle = Oracle(tables[row + 1], 3, penalty, alpha)
        expected = [tokens for tokens in oracle.everything(4) if allowed(tokens)]
        assert len(expected) >= 1 or size == 1
        assert_is(decoded, row, oracle, expected[:3])


def test_half_precision_logits_are_summed_in_float32(remembering, tables):
    class Half(remembering):
        def step(self, *arguments):
            step = super().step(*arguments)
            return step._replace(
                logits=tf.cast(step.logits, tf.bfloat16), alignment=tf.cast(step.alignment, tf.bfloat16)
            )

    class Rounded(remembering):
        def step(self, *arguments):
            step = super().step(*arguments)
            return step._replace(logits=tf.cast(tf.cast(step.logits, tf.bfloat16), tf.float32))

    search = BeamSearch(3, 2, length_penalty=GNMTLengthPenalty(), coverage_penalty=0.1)
    half, rounded = (
        decoded_by(kind(tables), SOURCES, 7, search, return_alignments=True) for kind in (Half, Rounded)
    )
    assert half.scores.dtype == half.log_probs.dtype == half.alignments.dtype == tf.float32
    assert_same(half, rounded)


@given(searches(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=23)
def test_a_narrow_beam_is_the_plain_one(remembering, case, beam_size, num_hypotheses, max_length):
    """Also where the beam is wider than the vocabulary."""
    tables, penalty, alpha, beta, _, early_stopping = case
    num_hypotheses = min(num_hypotheses, beam_size)
    search = BeamSearch(
        beam_size,
        num_hypotheses,
        length_penalty=penalty_of(penalty, alpha),
        coverage_penalty=beta,
        early_stopping=early_stopping,
    )
    decoded = decoded_by(
        remembering(tables), sources(ROWS + 1, 3)[1:], max_length, search, return_alignments=True
    )
    for row in range(ROWS):
        oracle = Oracle(tables[row + 1], 3, penalty, alpha, beta)
        assert_is(decoded, row, oracle, plain_beam(oracle, search, max_length), alignments=True)


@given(searches(), st.sampled_from([0.3, 1.0, 1.7]), st.integers(1, 3))
@settings(max_examples=11)
def test_counting_ended_hypotheses(remembering, case, patience, num_hypotheses):
    tables, penalty, alpha, beta, _, _ = case
    search = BeamSearch(
        3,
        num_hypotheses,
        length_penalty=penalty_of(penalty, alpha),
        coverage_penalty=beta,
        early_stopping="count",
        patience=patience,
    )
    decoded = decoded_by(remembering(tables), sources(ROWS + 1, 3)[1:], 7, search)
    needed = max({0.3: 1, 1.0: 3, 1.7: 5}[patience], num_hypotheses)
    for row in range(ROWS):
        oracle = Oracle(tables[row + 1], 3, penalty, alpha, beta)
        assert_is(decoded, row, oracle, plain_beam(oracle, search, 7, needed))


@pytest.fixture(name="tables")
def tables_fixture(rng):
    """Eleven random tables for a vocabulary of seven; row 0 is never decoded: its id would be a pad."""
    return rng.normal(0, 1.3, (12, 11, 7))


SOURCES = sources(12, 5)[1:]
SEARCHES = {
    "plain": BeamSearch(3, 3),
    "gnmt": BeamSearch(5, 2, length_penalty=GNMTLengthPenalty(0.8), coverage_penalty=0.2),
    "power": BeamSearch(4, 4, length_penalty=PowerLengthPenalty(), early_stopping="never"),
    "count": BeamSearch(
        4, 1, length_penalty=PowerLengthPenalty(0.5, count_end=False), early_stopping="count", patience=2
    ),
}
each_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


def assert_same(one, other):
    """Two results; what stands behind the end in the longer one is nothing."""
    steps = min(one.tokens.shape[2], other.tokens.shape[2])
    for left, right in zip(one, other, strict=True):
        if left is not None:
            left, right = left.numpy(), right.numpy()
            if left.ndim > 2:
                assert not left[:, :, steps:].any()
                assert not right[:, :, steps:].any()
                left, right = left[:, :, :steps], right[:, :, :steps]
            assert_close(left, right, TERMS)


def rows_of(decoded, rows):
    return type(decoded)(*(None if leaf is None else tf.gather(leaf, rows) for leaf in decoded))


@each_search
def test_the_order_and_company_of_rows_change_nothing(remembering, tables, search):
    order = [5, 0, 10, 3, 3, 8]
    together = decoded_by(remembering(tables), SOURCES, 7, search, return_alignments=True)
    permuted = decoded_by(remembering(tables), SOURCES[order], 7, search, return_alignments=True)
    assert_same(permuted, rows_of(together, order))
    for row in (2, 7):
        alone = decoded_by(remembering(tables), SOURCES[[row]], 7, search, return_alignments=True)
        assert_same(alone, rows_of(together, [row]))


@each_search
def test_scores_are_sorted_and_hypotheses_distinct(remembering, tables, search):
    decoded = decoded_by(remembering(tables), SOURCES, 7, search)
    for row in range(len(SOURCES)):
        finished = decoded.finished[row].numpy()
        assert (np.diff(finished.astype(int)) <= 0).all()  # finished ones first
        for group in (finished, ~finished):
            assert (np.diff(decoded.scores[row].numpy()[group]) <= 0).all()
        assert len({tuple(tokens) for tokens in decoded.tokens[row].numpy().tolist()}) == len(finished)


@each_search
def test_log_probs_are_those_of_forced_scoring(remembering, tables, search):
    decoded = decoded_by(remembering(tables), SOURCES, 7, search)
    forced = score(
        remembering(tables), SOURCES, decoded.tokens, start_id=START, end_id=END, lengths=decoded.lengths
    )
    assert_close(decoded.log_probs, forced.log_probs, TERMS)


@pytest.mark.parametrize(
    "search",
    [BeamSearch(1), BeamSearch(1, 1, length_penalty=GNMTLengthPenalty(2.0), early_stopping="count")],
    ids=["exact", "count"],
)
def test_a_beam_of_one_is_greedy(remembering, tables, search):
    beam = decoded_by(remembering(tables), SOURCES, 11, search, return_alignments=True)
    greedy = decoded_by(remembering(tables), SOURCES, 11, Greedy(), return_alignments=True)
    assert len(set(greedy.finished.numpy()[:, 0])) == 2  # some end, some do not
    assert_same(beam._replace(scores=beam.log_probs), greedy)


def test_nothing_after_the_end_counts(remembering):
    """KerasHub 0.32 goes on after the end: it adds what follows and prefers the hypothesis that never ends.

    The end has probability 0.6 at the first step, and after it anything at all 1/5.
    """
    table = np.full((11, 5), 0.0)
    table[START] = np.log([0.1, 0.05, 0.6, 0.2, 0.05])
    table[3 * START + 3] = np.log([0.01, 0.01, 0.01, 0.96, 0.01])
    decoded = decoded_by(remembering([table] * 2, drift=0.0), sources(2, 3)[1:], 7, BeamSearch(2))
    assert decoded.tokens.numpy().tolist() == [[[END] + [0] * (decoded.tokens.shape[2] - 1)]]
    assert float(decoded.log_probs[0, 0]) == pytest.approx(np.log(0.6), rel=1e-5)


def test_by_hand(remembering):
    """A better hypothesis than the greedy one: 0.4 * 0.9 = 0.36 against 0.5 * 0.5 = 0.25."""
    table = np.full((11, 7), -30.0)
    table[START, [3, 4, 6]] = np.log([0.5, 0.4, 0.1])
    table[3 * START + 3, [END, 5, 6]] = np.log([0.5, 0.45, 0.05])
    table[3 * START + 4, [END, 6]] = np.log([0.9, 0.1])
    decoder = remembering([table] * 2, drift=0.0)
    decoded = decoded_by(decoder, sources(2, 3)[1:], 2, BeamSearch(2, 2))
    assert decoded.tokens.numpy().tolist() == [[[4, END], [3, END]]]
    np.testing.assert_allclose(np.exp(decoded.log_probs), [[0.36, 0.25]], rtol=1e-5)
    greedy = decoded_by(decoder, sources(2, 3)[1:], 2)
    assert greedy.tokens.numpy().tolist() == [[[3, END]]]


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.5])
def test_a_longer_limit_never_worsens_the_best_score(remembering, rng, alpha):
    tables = rng.normal(0, 1.0, (12, 11, SIZE))
    best = []
    for max_length in (1, 2, 3, 4):
        search = BeamSearch(108, 1, length_penalty=GNMTLengthPenalty(alpha))
        decoded = decoded_by(remembering(tables), sources(12, 3)[1:], max_length, search)
        assert decoded.finished.numpy().all()
        best.append(decoded.scores[:, 0].numpy())
    assert (np.diff(best, axis=0) >= -1e-6).all()


def test_the_early_stop_comes_early_and_changes_nothing(remembering, tables):
    tables = tables + 3.0 * np.eye(7)[END]  # ends are probable
    exact, never = (
        decoded_by(remembering(tables), SOURCES, 31, BeamSearch(3, 2, early_stopping=stop))
        for stop in ("exact", "never")
    )
    assert exact.tokens.shape[2] < never.tokens.shape[2] == 31
    assert_same(exact, never)


@pytest.mark.parametrize("early_stopping", ["exact", "count", "never"])
def test_settings_of_every_row(remembering, tables, early_stopping):
    """What a row gets from settings `[B]` is what it gets alone from its own numbers."""
    rng = np.random.default_rng(3)
    alpha, beta = rng.normal(0.5, 1, 11).astype("f"), rng.uniform(0, 0.5, 11).astype("f")
    limits, patience = rng.integers(0, 9, 11), rng.uniform(0.3, 2, 11).astype("f")

    def search(alpha, beta, patience):
        patience = {"patience": patience} if early_stopping == "count" else {}
        return BeamSearch(
            3,
            2,
            length_penalty=PowerLengthPenalty(alpha),
            coverage_penalty=beta,
            early_stopping=early_stopping,
            **patience,
        )

    tensors = [tf.constant(x) for x in (alpha, beta, patience)]
    decoder = remembering(tables)
    together = decoded_by(decoder, SOURCES, limits, search(*tensors), return_alignments=True)
    for row in range(11):
        numbers = [float(x[row]) for x in (alpha, beta, patience)]
        limit = int(limits[row])
        alone = decoded_by(decoder, SOURCES[[row]], limit, search(*numbers), return_alignments=True)
        assert_same(alone, rows_of(together, [row]))


def test_fewer_hypotheses_than_are_asked_for(remembering):
    """Of one token each there are an end and two others."""
    decoded = decoded_by(remembering(np.zeros((2, 3, 3)), drift=0.0), sources(2, 3)[1:], 1, BeamSearch(5, 5))
    assert decoded.tokens.numpy().tolist() == [[[2], [0], [1], [0], [0]]]
    assert decoded.lengths.numpy().tolist() == [[1, 1, 1, 0, 0]]
    assert decoded.finished.numpy().tolist() == [[True, False, False, False, False]]
    np.testing.assert_allclose(decoded.scores, [[*[-np.log(3)] * 3, -np.inf, -np.inf]], rtol=1e-6)


@pytest.mark.parametrize(
    "search", [BeamSearch(3, 2), BeamSearch(2, 1, length_penalty=GNMTLengthPenalty(), coverage_penalty=0.1)]
)
def test_no_room_and_no_rows(remembering, tables, search):
    nothing = decoded_by(remembering(tables), SOURCES, 0, search, return_alignments=True)
    assert nothing.tokens.shape == (11, search.num_hypotheses, 0)
    assert not nothing.lengths.numpy().any()
    assert not nothing.finished.numpy().any()
    empty = decoded_by(remembering(tables), SOURCES[:0], 5, search, return_alignments=True)
    assert [x.shape[0] for x in empty] == [0] * 6
    assert empty.tokens.shape[1] == search.num_hypotheses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam_size": 0}, "`beam_size` and `num_hypotheses` must be positive.*Received: 0 and 1"),
        ({"beam_size": 3, "num_hypotheses": 0}, "must be positive.*Received: 3 and 0"),
        ({"beam_size": 3, "num_hypotheses": 4}, "larger than the beam. Expected at most 3.*Received: 4"),
        ({"beam_size": 3, "early_stopping": True}, "`early_stopping` is unknown.*'exact'.*Received: True"),
        ({"beam_size": 3, "patience": 2.0}, "`patience` has no effect.*Received: early_stopping='exact'"),
        ({"beam_size": 3, "coverage_penalty": -1}, "`coverage_penalty` is negative.*Received: -1"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        BeamSearch(**arguments)
