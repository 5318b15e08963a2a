"""What each signature means: tied to the decoding loop, to forced scoring, and to each other."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.decoding import BeamSearch, GNMTLengthPenalty, PowerLengthPenalty, decode
from keras_attn.export.service.service import LOWEST, Service
from keras_attn.export.verification.tolerance import tolerance_of

from ...bounds import assert_close

TEXTS = tf.constant(["안녕하세요 세계", "Grüße aus Köln!", "", "x", "Hund"])
EMPTY = 2
MAX_LENGTH = 7


@pytest.fixture(scope="module")
def inner(tokenizers, tiny_model):
    tokenizer = tokenizers.characters
    return TextToText(
        tiny_model(tokenizer.vocabulary_size),
        tokenizer,
        tokenizer,
        max_length=MAX_LENGTH,
        max_source_length=23,
    )


@pytest.fixture(scope="module")
def terms(inner):
    """How many numbers are added up on the way to a log-probability."""
    return tolerance_of(inner, TEXTS.numpy()).num_terms


@pytest.fixture(scope="module")
def service(inner):
    return Service(inner, beam_size=3, num_hypotheses=3)


def ask(service, name, **changes):
    inputs = {
        "n_best": ("max_length", "length_penalty", "target_prefix"),
        "stream": ("stream", "max_length", "target_prefix"),
        "sample": ("stream", "temperature", "top_k", "top_p", "seed", "max_length", "target_prefix"),
        "decode_ids": ("max_length",),
    }.get(name, ())
    defaults = {key: tf.constant([service.defaults[key]]) for key in inputs}
    text = {} if name == "decode_ids" else {"text": TEXTS}
    outputs = service.answer(name, {**text, **defaults, **changes})
    return {key: value.numpy() for key, value in outputs.items()}


def test_n_best_is_the_beam_search(service, inner, terms):
    answer = ask(service, "n_best", length_penalty=tf.constant([0.7]))
    search = BeamSearch(3, 3, length_penalty=GNMTLengthPenalty(0.7))
    decoded = decode(
        inner.model, inner.source_ids(TEXTS), start_id=1, end_id=2, max_length=MAX_LENGTH, strategy=search
    )
    rows = [row for row in range(5) if row != EMPTY]
    for key, expected in (("score", decoded.scores), ("log_prob", decoded.log_probs)):
        assert_close(answer[key][rows], expected.numpy()[rows], terms)
    np.testing.assert_array_equal(answer["length"][rows], decoded.lengths.numpy()[rows])
    np.testing.assert_array_equal(answer["finished"][rows], decoded.finished.numpy()[rows])
    ids = [token for token in decoded.tokens[4, 1].numpy() if token > 2]
    expected = inner.target_tokenizer.decode(tf.ragged.constant([ids], dtype=tf.int32)).numpy()[0]
    assert answer["text"][4, 1] == expected
    assert (np.diff(answer["score"], axis=1) <= 0).all()


def test_an_empty_text_gives_nothing_for_sure(service):
    best = ask(service, "n_best")
    assert best["text"][EMPTY].tolist() == [b"", b"", b""]
    assert best["score"][EMPTY].tolist() == best["log_prob"][EMPTY].tolist() == [0, LOWEST, LOWEST]
    assert best["length"][EMPTY].tolist() == [0, 0, 0]
    assert best["finished"][EMPTY].tolist() == [True, False, False]
    drawn = ask(service, "sample")
    assert (drawn["text"][EMPTY], drawn["log_prob"][EMPTY], drawn["length"][EMPTY]) == (b"", 0, 0)
    assert drawn["finished"][EMPTY]


def test_hypotheses_that_do_not_exist_have_the_lowest_number_that_json_can_carry(service):
    answer = ask(service, "n_best", max_length=tf.constant([1]), target_prefix=tf.constant(["H"]))
    assert answer["text"][0].tolist() == [b"H", b"", b""]
    assert answer["length"][0].tolist() == [1, 0, 0]
    assert answer["score"][0, 1:].tolist() == [LOWEST, LOWEST]
    assert all(np.isfinite(answer[key]).all() for key in ("score", "log_prob"))


def test_options_hold_for_their_own_row(service):
    lengths = tf.constant([1, 2, 3, 4, 5])
    answer = ask(service, "n_best", max_length=lengths)
    assert (answer["length"] <= lengths.numpy()[:, None]).all()
    assert answer["length"].max() > 1
    prefixes = tf.constant(["H", "", "H", "세", "Grü"])
    texts = ask(service, "n_best", target_prefix=prefixes)["text"][:, 0]
    for row in (0, 3, 4):
        assert texts[row].startswith(prefixes.numpy()[row])


def test_a_stronger_length_penalty_prefers_longer_texts(service):
    weak, strong = (ask(service, "n_best", length_penalty=tf.constant([x])) for x in (0.0, 5.0))
    assert strong["length"][:, 0].sum() > weak["length"][:, 0].sum()


def test_sampling_from_one_token_is_greedy_and_seeds_differ(service, inner, terms):
    greedy = inner.translate(TEXTS)
    drawn = ask(service, "sample", top_k=tf.constant([1]))
    np.testing.assert_array_equal(drawn["text"], greedy["text"])
    assert_close(drawn["log_prob"], greedy["score"], terms)
    texts = [tuple(ask(service, "sample", seed=tf.constant([seed]))["text"]) for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]


def test_the_score_of_what_is_decoded_is_its_score(service, inner, terms):
    best = ask(service, "n_best", length_penalty=tf.constant([0.0]))
    scored = ask(service, "score", target=tf.constant(best["text"][:, 0]))
    # Where special tokens or spaces at the ends were decoded, the text is of another length.
    same = best["finished"][:, 0] & (scored["length"] == best["length"][:, 0])
    rows = [row for row in np.nonzero(same)[0] if row != EMPTY]
    assert len(rows) > 1
    assert_close(scored["log_prob"][rows], best["log_prob"][rows, 0], terms)


def test_scores_of_tokens_sum_up_and_perplexity_is_their_mean(service):
    scored = ask(service, "score", target=tf.constant(["Hund", "", "ein", "e", "3 S"]))
    assert_close(scored["token_log_probs"].sum(axis=1), scored["log_prob"], MAX_LENGTH)
    assert scored["length"].tolist() == [5, 1, 4, 2, 4]
    assert_close(np.log(scored["perplexity"]), -scored["log_prob"] / scored["length"], MAX_LENGTH)
    assert scored["target_pieces"][3].tolist() == [b"e", b"</s>", b"", b"", b""]
    assert (scored["token_log_probs"][3, 2:] == 0).all()


def test_scoring_by_steps_is_scoring_in_full(service, inner, terms):
    class Stepwise:
        """The same model, as a decoder that cannot be called."""

        weights = inner.model.weights
        start, step = inner.model.start, inner.model.step

    tokenizer = inner.target_tokenizer
    stepwise = Service(
        TextToText(Stepwise(), tokenizer, tokenizer, max_length=MAX_LENGTH, max_source_length=23)
    )
    target = tf.constant(["Hund", "", "ein", "e", "3 S"])
    full, steps = (ask(x, "score", target=target) for x in (service, stepwise))
    assert_close(full["token_log_probs"], steps["token_log_probs"], terms)


def test_a_perplexity_beyond_all_numbers_is_the_largest_of_them(tokenizers, inner):
    class Certain:
        """Gives every token but one the probability 0, nearly."""

        def start(self, source):
            return [tf.zeros([tf.shape(source)[0], 1, 1])], source

        def step(self, tokens, position, state, memory):
            from keras_attn.protocols import Step

            size = inner.target_tokenizer.vocabulary_size
            logits = tf.one_hot(tokens * 0 + 5, size) * 1e6
            return Step(logits, state, tf.zeros([tf.shape(memory)[0], 1, tf.shape(memory)[1]]))

    tokenizer = tokenizers.characters
    service = Service(TextToText(Certain(), tokenizer, tokenizer, max_length=MAX_LENGTH))
    scored = ask(service, "score", target=tf.constant(["Hund"]))
    assert (scored["perplexity"] == np.finfo(np.float32).max).all()


def test_alignments_of_the_best_and_of_given_targets(service, inner, terms):
    own = ask(service, "align", target=tf.constant([""]))
    expected = inner.align(TEXTS)
    for key, value in own.items():
        if value.dtype == object:
            np.testing.assert_array_equal(value, expected[key])
        else:
            assert_close(value, expected[key], terms)
    given = ask(service, "align", target=tf.constant(["Hund", "", "ein", "x", ""]))
    assert given["target_pieces"][0, :5].tolist() == [b"H", b"u", b"n", b"d", b"</s>"]
    assert_close(given["alignment"][0, :5].sum(axis=-1), 1, given["alignment"].shape[2])
    own_length = own["target_pieces"].shape[1]
    np.testing.assert_array_equal(given["target_pieces"][4, :own_length], own["target_pieces"][4])


def test_ids_are_decoded_as_their_text_is(service, inner, terms):
    ragged = inner.source_tokenizer.encode(TEXTS)
    ids, lengths = ragged.to_tensor(7), tf.cast(ragged.row_lengths(), tf.int32)
    answer = ask(service, "decode_ids", ids=ids, lengths=lengths)
    rows = [row[:n] for row, n in zip(answer["ids"].tolist(), answer["lengths"], strict=True)]
    texts = inner.target_tokenizer.decode(tf.ragged.constant(rows, dtype=tf.int32))
    translated = inner.translate(TEXTS)
    np.testing.assert_array_equal(texts, translated["text"])
    assert_close(answer["score"], translated["score"], terms)
    assert answer["finished"][EMPTY]
    assert answer["lengths"][EMPTY] == 0


def test_states_of_the_encoder_end_with_the_text(service, inner):
    answer = ask(service, "encode")
    lengths = inner.source_tokenizer.encode(TEXTS).row_lengths().numpy() + 1
    np.testing.assert_array_equal(answer["lengths"], lengths)
    for row, length in enumerate(lengths):
        assert (answer["states"][row, :length] != 0).any(axis=-1).all()
        assert (answer["states"][row, length:] == 0).all()


def test_settings_come_from_the_strategy(inner):
    def service(strategy, **options):
        tokenizer = inner.target_tokenizer
        return Service(
            TextToText(inner.model, tokenizer, tokenizer, max_length=7, strategy=strategy), **options
        )

    plain = service(None)
    assert (plain.beam_size, plain.num_hypotheses, plain.defaults["length_penalty"]) == (4, 4, 0.0)
    power = service(BeamSearch(5, length_penalty=PowerLengthPenalty(0.5, count_end=False)))
    assert (power.beam_size, power.num_hypotheses, power.defaults["length_penalty"]) == (5, 5, 0.5)
    assert power._search(tf.constant([1.0])).length_penalty.count_end is False
    assert service(None, beam_size=2, num_hypotheses=1).num_hypotheses == 1


def test_more_hypotheses_than_beams_are_refused_at_once(inner):
    with pytest.raises(ValueError, match="`num_hypotheses` is larger than the beam"):
        Service(inner, beam_size=2, num_hypotheses=3)


def test_a_penalty_without_a_strength_is_refused(inner):
    tokenizer = inner.target_tokenizer
    strategy = BeamSearch(2, length_penalty=lambda length, ended=True: length)
    with pytest.raises(ValueError, match="`length_penalty` of the strategy has no strength"):
        Service(TextToText(inner.model, tokenizer, tokenizer, max_length=7, strategy=strategy))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("n_best", {"max_length": tf.constant([8])}, "`max_length` is out of range. Expected 1 to 7"),
        ("n_best", {"target_prefix": tf.constant(["Hundert"])}, "`target_prefix` is too long: .* 6 tokens"),
        (
            "n_best",
            {"max_length": tf.constant([1]), "target_prefix": tf.constant(["Hu"])},
            "`target_prefix` is longer than `max_length`",
        ),
        ("score", {"target": tf.constant([], tf.string)}, "`target` does not fit the batch"),
        ("n_best", {"length_penalty": tf.constant([1.0, 2.0])}, "`length_penalty` does not fit the batch"),
        ("sample", {"temperature": tf.constant([0.0])}, "`temperature` is out of range"),
        ("stream", {"stream": tf.constant([-2], tf.int64)}, "`stream` is out of range. Expected a number of"),
        ("score", {"target": tf.constant(["Hundert"])}, "`target` is too long: .* 6 tokens"),
        ("align", {"target": tf.constant(["Hundert"])}, "`target` is too long"),
        ("encode", {"text": tf.constant(["x" * 24])}, "`text` is too long: .* 23 tokens"),
    ],
)
def test_requests_that_cannot_be_answered(service, name, changes, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(service, name, **changes)
