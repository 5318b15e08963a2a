"""Speculative decoding is greedy decoding, whatever the draft; and it takes the rounds that it should."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.decoding import Greedy, RelativeLength, decode, speculative_greedy
from keras_attn.protocols import Extension, Step

START, END, SIZE = 1, 2, 7


class Stepwise:
    """Any decoder, made extendable with one step after the other."""

    def __init__(self, decoder):
        self.decoder = decoder
        self.start, self.step = decoder.start, decoder.step
        self.fed = []  # (first position, number of tokens) of every pass

    def extend(self, tokens, position, state, memory):
        self.fed.append((int(position), tokens.shape[2]))
        steps, states = [], [state]
        for ahead in range(tokens.shape[2]):
            steps.append(self.step(tokens[:, :, ahead], position + ahead, states[-1], memory))
            states.append(steps[-1].state)
        logits, alignments = (tf.stack([getattr(s, x) for s in steps], 2) for x in ("logits", "alignment"))
        return Extension(logits, states, alignments)

    def rewind(self, extended, count):
        return extended[int(count)]


class Written:
    """Writes what is written: at every position of row i, the token of path i, with probability 1/2."""

    def __init__(self, *paths):
        self.paths = tf.constant(paths)  # [N, L]

    def start(self, source):
        return {}, {"path": tf.gather(self.paths, source[:, 0]), "source": source}

    def step(self, tokens, position, state, memory):
        choice = tf.one_hot(memory["path"][:, position], SIZE)[:, None]  # [B, 1, V]
        logits = tf.math.log(tf.where(choice > 0, 0.5, 0.5 / (SIZE - 1)))
        return Step(logits, state, tf.ones(tf.shape(memory["source"]))[:, None])


def assert_equal(decoded, expected):
    for name in ("tokens", "lengths", "finished"):
        np.testing.assert_array_equal(getattr(decoded, name), getattr(expected, name), err_msg=name)
    for name in ("log_probs", "scores", "alignments"):
        one, other = getattr(decoded, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def run(target, draft, source, num_draft_tokens, max_length=9):
    """Tokens of each row up to its end, and rounds; checked against greedy decoding."""
    options = {"max_length": max_length, "return_alignments": True}
    decoded, rounds = speculative_greedy(
        Stepwise(target),
        draft,
        source,
        start_id=START,
        end_id=END,
        num_draft_tokens=num_draft_tokens,
        return_rounds=True,
        **options,
    )
    assert_equal(decoded, decode(target, source, start_id=START, end_id=END, strategy=Greedy(), **options))
    rows = zip(decoded.tokens[:, 0].numpy(), decoded.lengths[:, 0].numpy(), strict=True)
    return [tokens[:length].tolist() for tokens, length in rows], rounds.numpy().tolist()


@pytest.mark.parametrize(("n", "rounds"), [(1, 3), (2, 2), (4, 2), (5, 1), (7, 1)])
def test_a_draft_that_is_always_right_gives_one_more_token_than_it_proposes(n, rounds):
    """6 tokens by n + 1 a round; with n = 7, the end stands inside of what is accepted."""
    model = Written([5, 6, 3, 4, 5, END, 6, 6, 6])
    assert run(model, model, [[0, 1]], n) == ([[5, 6, 3, 4, 5, END]], [rounds])


def test_a_draft_that_is_always_wrong_gives_a_token_a_round():
    target, draft = Written([5, 6, 3, END, 5, 5]), Written([6, 5, 4, 3, 3, 3])
    assert run(target, draft, [[0, 1]], 3, max_length=6) == ([[5, 6, 3, END]], [4])


def test_what_is_kept_ends_with_the_target_s_own_token():
    """5, 6 are right, 4 is not: the target's 3 stands in its place. Then 4, 5, END are right."""
    target, draft = Written([5, 6, 3, 4, 5, END, 0, 0, 0]), Written([5, 6, 4, 4, 5, END, 0, 0, 0])
    assert run(target, draft, [[0, 1]], 3) == ([[5, 6, 3, 4, 5, END]], [2])


def test_a_proposal_after_a_wrong_one_does_not_count():
    target, draft = Written([5, 6, 3, 4, END, 0]), Written([6, 6, 3, 4, END, 0])
    assert run(target, draft, [[0, 1]], 2, max_length=6) == ([[5, 6, 3, 4, END]], [3])


def test_rows_go_in_lockstep_until_the_slow_one_has_ended():
    """Round 1: one token, because of row 1. Round 2: END for row 1, three for row 0. Round 3: two more."""
    target = Written([5, 6, 3, 4, 5, END, 0, 0, 0], [4, END, 0, 0, 0, 0, 0, 0, 0])
    draft = Written([5, 6, 3, 4, 5, END, 0, 0, 0], [3, 3, 3, 3, 3, 3, 3, 3, 3])
    tokens, rounds = run(target, draft, [[0, 1], [1, 1]], 2)
    assert tokens == [[5, 6, 3, 4, 5, END], [4, END]]
    assert rounds == [3, 2]


@pytest.mark.parametrize("max_length", [0, 1, 2, 3, 4, 5])
def test_the_largest_length_cuts(max_length):
    model = Written([5, 6, 3, 4, 5, 6, END])
    tokens, rounds = run(model, model, [[0, 1]], 2, max_length)
    assert tokens == [[5, 6, 3, 4, 5][:max_length]]
    assert rounds == [-(-max_length // 3)]


@pytest.mark.parametrize(
    ("max_length", "lengths"),
    [(tf.constant([4, 2, 1]), [4, 2, 1]), (RelativeLength(1, 1), [4, 3, 2]), (tf.constant(3), [3, 3, 3])],
)
def test_a_largest_length_for_every_row(max_length, lengths):
    paths = [[6, 6, 6, 6, 6, 6], [5, 6, 3, 4, 5, 6], [3, 3, END, 0, 0, 0], [4, 4, 4, 4, 4, 4]]
    model = Written(*paths)
    tokens, _ = run(model, model, [[1, 5, 3], [2, 5, 0], [3, 0, 0]], 3, max_length)
    assert tokens == [path[:length] for path, length in zip(paths[1:], lengths, strict=True)]


def test_nothing_is_fed_beyond_the_largest_length():
    target = Stepwise(Written([5, 6, 3, 4, 5]))
    speculative_greedy(
        target, target.decoder, [[0, 1]], start_id=START, end_id=END, max_length=5, num_draft_tokens=2
    )
    assert target.fed == [(0, 3), (3, 2)]


def test_no_rows():
    model = Written([5, END])
    assert run(model, model, np.zeros([0, 3], np.int32), 2) == ([], [])


@given(st.data())
@settings(max_examples=17)
def test_it_is_greedy_decoding_on_random_decoders(remembering, data):
    """With a state that every token fed so far matters to: one wrong rewind, and the rest is different."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    tables = rng.normal(0, 2, (3, 11, SIZE))
    tables[:, :, END] += data.draw(st.sampled_from([-1.0, 0.0, 1.0]))
    noise = data.draw(st.sampled_from([0.0, 0.3, 1.0, 5.0]))
    draft = remembering(tables + rng.normal(0, noise + 1e-9, tables.shape))
    source = rng.integers(0, 3, (data.draw(st.integers(1, 4)), 5)).astype("int32")
    limits = tf.constant(rng.integers(0, 12, len(source)), tf.int32)
    max_length = data.draw(st.sampled_from([1, 7, 11, limits]))
    tokens, rounds = run(remembering(tables), draft, source, data.draw(st.integers(1, 5)), max_length)
    assert all(count <= len(row) for row, count in zip(tokens, rounds, strict=True))


def test_a_target_that_cannot_check_is_refused():
    model = Written([5, END])
    with pytest.raises(TypeError, match=r"`target` cannot check .*Received: Written\. Use decode"):
        speculative_greedy(model, model, [[0]], start_id=START, end_id=END, max_length=3)


@pytest.mark.parametrize("count", [0, -1, 2.0, None])
def test_at_least_one_proposal(count):
    model = Stepwise(Written([5, END]))
    with pytest.raises(ValueError, match=r"`num_draft_tokens` must be .*Received: num_draft_tokens="):
        speculative_greedy(
            model, model, [[0]], start_id=START, end_id=END, max_length=3, num_draft_tokens=count
        )


def test_vocabularies_of_two_sizes(remembering):
    draft = remembering(np.zeros([1, 3, SIZE + 1]))
    target = Stepwise(Written([5, END, 0, 0]))
    with pytest.raises(ValueError, match=r"different tokens.* 7 ids of the target and 8 of the draft"):
        speculative_greedy(target, draft, [[0]], start_id=START, end_id=END, max_length=3)
