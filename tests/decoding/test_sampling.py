"""Sampling: frequencies against the exact distribution, cuts by hand, and independence of the batch."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import Choices, Greedy, Sampling, decode, score

from ..bounds import assert_close

START, END = 1, 2
TERMS = 7 * 7  # tokens, and a sum over the vocabulary for each
SHARES = np.array([0.05, 0.4, 0.02, 0.3, 0.2, 0.03])
DRAWS = 4000
SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def counts(sampling, shares=SHARES, position=3):
    """How often each token is drawn from these shares in one step."""
    logits = tf.tile(tf.constant(np.log(shares), tf.float32)[None, None], [1, sampling.num_hypotheses, 1])
    tokens, log_probs = sampling.choose(Choices(logits, logits), tf.constant(position), None)
    np.testing.assert_allclose(log_probs, np.log(shares / shares.sum())[tokens.numpy()], rtol=1e-4)
    return np.bincount(tokens.numpy().reshape(-1), minlength=len(shares))


def chi_square(observed, shares):
    expected = shares / shares.sum() * observed.sum()
    used = expected > 0
    assert not observed[~used].any()
    return ((observed - expected)[used] ** 2 / expected[used]).sum()


def cut(shares, top_k=0, top_p=1.0, temperature=1.0):
    """The exact distribution, as one would write it down."""
    shares = shares ** (1 / temperature)
    order = np.argsort(-shares)
    keep = np.zeros(len(shares), bool)
    kept, total = 0.0, np.sort(shares)[::-1][: top_k or None].sum()
    for token in order[: top_k or None]:
        if kept >= top_p * total:
            break
        keep[token] = True
        kept += shares[token]
    return np.where(keep, shares, 0) / kept


# The 99.9 % quantile of chi-square with 1 to 5 degrees of freedom: the seeds are fixed, so none is by chance.
QUANTILE = {1: 10.8, 2: 13.8, 3: 16.3, 4: 18.5, 5: 20.5, 0: 1e-6}


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_k": 1},
        {"top_k": 99},
        {"top_p": 0.65},
        {"top_p": 0.4},
        {"top_p": 0.001},
        {"temperature": 2.0, "top_k": 4, "top_p": 0.8},
    ],
    ids=str,
)
def test_frequencies(seed, settings):
    exact = cut(SHARES, **settings)
    sampling = Sampling(**settings, seed=tf.constant(seed, tf.int64), num_samples=DRAWS)
    assert chi_square(counts(sampling), exact) < QUANTILE[np.count_nonzero(exact) - 1]


@pytest.mark.parametrize(
    "settings", [{"top_k": 3}, {"top_p": 0.65}, {"temperature": 2.0, "top_k": 4, "top_p": 0.8}]
)
def test_tensors_cut_as_numbers_do(settings):
    tensors = {name: tf.constant([value]) for name, value in settings.items()}
    numbers = counts(Sampling(**settings, seed=5, num_samples=DRAWS))
    np.testing.assert_array_equal(counts(Sampling(**tensors, seed=5, num_samples=DRAWS)), numbers)


@pytest.mark.parametrize("top_p", [0.3, 0.95, 0.999])
def test_a_vocabulary_that_is_sorted_only_where_it_must_be(rng, top_p):
    """Rows whose 256 best suffice and rows whose do not, together and apart, against the exact cut."""
    size = 2053
    shares = rng.dirichlet([0.05] * size, 2)
    shares[1] = rng.dirichlet([9.0] * size)
    sampling = Sampling(top_p=top_p, seed=3, num_samples=997)

    @tf.function(input_signature=[tf.TensorSpec([None, size])], autograph=False)
    def draw(logits):
        logits = tf.repeat(logits[:, None], 997, axis=1)
        return sampling.choose(Choices(logits, logits), tf.constant(3), None)[0]

    logits = np.log(shares + 1e-12).astype(np.float32)
    drawn = [draw(logits[rows]).numpy() for rows in ([0], [1], [0, 1])]
    np.testing.assert_array_equal(drawn[2], np.concatenate(drawn[:2]))
    for row in range(2):
        assert set(drawn[2][row]) <= set(np.flatnonzero(cut(shares[row], top_p=top_p)))
    assert len(set(drawn[2][1])) > 150


def test_the_one_that_crosses_top_p_counts():
    """0.4 + 0.3 = 0.7 is the first sum that reaches 0.65; for 0.75 it takes one more."""
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    drawn = {
        p: np.flatnonzero(counts(Sampling(top_p=p, num_samples=DRAWS), shares)).tolist() for p in (0.65, 0.75)
    }
    assert drawn == {0.65: [0, 1], 0.75: [0, 1, 2]}


def test_steps_and_seeds_draw_anew():
    """The frequencies over many steps of one sample, too."""
    observed = sum(counts(Sampling(seed=3), position=position) for position in range(200))
    assert chi_square(observed, SHARES) < QUANTILE[5]
    draws = {
        (seed, t): tuple(counts(Sampling(seed=seed, num_samples=53), position=t))
        for seed in (1, 2)
        for t in (1, 2)
    }
    assert len(set(draws.values())) == 4


def test_whole_sequences_have_their_probabilities(remembering, rng):
    """All hypotheses of at most three tokens over three ids, against their exact probabilities."""
    table = rng.normal(size=(2, 11, 3))
    decoder = remembering(table)
    decoded = decode(
        decoder,
        SOURCE[:1],
        start_id=START,
        end_id=END,
        max_length=3,
        strategy=Sampling(seed=1, num_samples=DRAWS),
    )
    tokens, drawn, first = (
        np.unique(decoded.tokens[0], axis=0, return_counts=True, return_index=True)[i] for i in (0, 2, 1)
    )
    exact = np.exp(decoded.log_probs[0].numpy()[first])
    assert len(tokens) == 1 + 2 + 4 * 3
    assert exact.sum() == pytest.approx(1, rel=1e-4)
    assert chi_square(drawn, exact) < 36.1  # the 99.9 % quantile with 14 degrees of freedom


def test_top_k_of_one_is_greedy(remembering, rng):
    decoder = remembering(rng.normal(0, 1.3, (4, 11, 7)))
    greedy = decode(decoder, SOURCE, start_id=START, end_id=END, max_length=7, strategy=Greedy())
    for sampling in (
        Sampling(top_k=1, seed=3),
        Sampling(0.1, top_k=tf.constant([1, 1, 1])),
        Sampling(top_p=1e-6),
    ):
        for left, right in zip(
            decode(decoder, SOURCE, start_id=START, end_id=END, max_length=7, strategy=sampling),
            greedy,
            strict=True,
        ):
            if left is not None:
                assert_close(left, right, TERMS)


@pytest.mark.parametrize("seed", [5, np.array([5, 11, 13, 5], np.int64)], ids=["one", "of every row"])
def test_a_row_depends_on_neither_its_place_nor_its_neighbours(remembering, rng, seed):
    decoder = remembering(rng.normal(0, 1.3, (4, 11, 7)))
    source = SOURCE[[0, 1, 2, 0]]

    def sampled(rows):
        seeds = seed if isinstance(seed, int) else tf.constant(seed[rows])
        return decode(
            decoder,
            source[rows],
            start_id=START,
            end_id=END,
            max_length=9,
            strategy=Sampling(seed=seeds, num_samples=3),
        )

    together = sampled([0, 1, 2, 3])
    for rows in ([3, 1, 0], [2], [0]):
        some = sampled(rows)
        steps = min(some.tokens.shape[2], together.tokens.shape[2])
        np.testing.assert_array_equal(some.tokens[:, :, :steps], together.tokens.numpy()[rows][:, :, :steps])
        assert_close(some.log_probs, together.log_probs.numpy()[rows], TERMS)
    np.testing.assert_array_equal(together.tokens[0], together.tokens[3])  # the same source, the same seed
    assert len({tuple(x) for x in together.tokens[0].numpy().tolist()}) > 1  # samples differ


def test_log_probs_are_those_of_the_decoder_itself(remembering, rng):
    """Not of the sharpened and cut distribution that was drawn from."""
    decoder = remembering(rng.normal(0, 1.3, (4, 11, 7)))
    decoded = decode(
        decoder,
        SOURCE,
        start_id=START,
        end_id=END,
        max_length=7,
        strategy=Sampling(0.5, top_k=3, top_p=0.8, seed=2, num_samples=2),
    )
    forced = score(decoder, SOURCE, decoded.tokens, start_id=START, end_id=END, lengths=decoded.lengths)
    assert_close(decoded.log_probs, forced.log_probs, TERMS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "`temperature` must be positive.*Received: 0. Use Greedy"),
        ({"top_k": -1}, "`top_k` is negative.*Received: -1"),
        ({"top_p": 0.0}, "`top_p` is no share.*Received: 0.0"),
        ({"top_p": 1.5}, "`top_p` is no share.*Received: 1.5"),
        ({"num_samples": 0}, "`num_samples` must be positive.*Received: 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)
