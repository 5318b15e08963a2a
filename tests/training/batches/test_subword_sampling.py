"""Subwords drawn anew: the papers' probabilities, the same text, the same draws in every process."""

import random
import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest
import sentencepiece

from keras_attn.tokenizers import SentencePieceTokenizer
from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.sampled_texts import SampledTexts
from keras_attn.training.batches.segmentations import WordSegmenter
from keras_attn.training.batches.subword_sampling import SubwordSampling
from keras_attn.training.batches.token_batches import TokenBatches
from keras_attn.training.recipe.recipe import RecipeError

LINES = [
    "the lower the tower the slower the flower",
    "newer and lower towers grow slower than flowers",
    "a mower mows lower   meadows; owners know",
    "power, towel, bowl and owl: how now",
] * 3
WORD = "▁flowers"


@cache
def trained(model_type):
    size = 60 if model_type == "bpe" else 40
    return SentencePieceTokenizer.train(LINES, size, model_type)


def processor_of(model_type):
    return sentencepiece.SentencePieceProcessor(model_proto=trained(model_type).model_proto)


def segmenter(model_type, strength, seed=0):
    return WordSegmenter(processor_of(model_type), model_type, strength, random.Random(seed))


def sampled(model_type="bpe", strength=0.3, texts=LINES, max_length=100, seed=(0, 0)):
    tokenizer = trained(model_type)
    rows = [np.array(row, np.int32) for row in processor_of(model_type).encode(list(texts))]
    return SampledTexts(tokenizer, model_type, strength, texts, rows, max_length, seed), rows


def bpe_dropout(processor, pieces, p):
    """The probability of every outcome, by following every choice of merges that are passed over."""
    ids = {processor.id_to_piece(index): index for index in range(processor.get_piece_size())}
    merges = sorted(
        (ids[pieces[at] + pieces[at + 1]], at)
        for at in range(len(pieces) - 1)
        if pieces[at] + pieces[at + 1] in ids
    )
    outcomes = Counter()
    for dropped in range(2 ** len(merges)):
        bits = [dropped >> bit & 1 for bit in range(len(merges))]
        weight = np.prod([p if bit else 1 - p for bit in bits])
        left = [at for (_, at), bit in zip(merges, bits, strict=True) if not bit]
        if not left:
            outcomes[tuple(ids[piece] for piece in pieces)] += weight
            continue
        at = left[0]
        merged = (*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :])
        for outcome, share in bpe_dropout(processor, merged, p).items():
            outcomes[outcome] += weight * share
    return outcomes


def frequencies(draws):
    return {outcome: count / len(draws) for outcome, count in Counter(map(tuple, draws)).items()}


def distance(one, other):
    """Total variation."""
    return sum(abs(one.get(key, 0) - other.get(key, 0)) for key in {*one, *other}) / 2


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_bpe_dropout_has_the_probabilities_of_the_algorithm(p):
    expected = bpe_dropout(processor_of("bpe"), tuple(WORD), p)
    assert sum(expected.values()) == pytest.approx(1)
    drawn = frequencies(segmenter("bpe", p).draw(WORD, 4000))
    assert distance(drawn, expected) < 0.03
    assert len(drawn) == 1 if p == 1 else len(drawn) > 5


def test_without_dropout_every_word_is_cut_as_sentencepiece_does():
    processor, drawer = processor_of("bpe"), segmenter("bpe", 0.0)
    words = sorted(set(" ".join(LINES).split()))
    assert len(words) > 20
    for word in words:
        assert drawer.draw("▁" + word, 2) == [processor.encode(word)] * 2


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_unigram_segmentations_have_powers_of_their_probabilities(alpha):
    processor = processor_of("unigram")
    found = processor.nbest_encode_as_ids("flowers", 64)
    weights = np.exp([alpha * sum(map(processor.get_score, ids)) for ids in found])
    expected = {tuple(ids): weight for ids, weight in zip(found, weights / weights.sum(), strict=True)}
    assert len(expected) > 5
    assert distance(frequencies(segmenter("unigram", alpha).draw(WORD, 8000)), expected) < 0.05


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_the_text_stays_the_same(model_type):
    texts, usual = sampled(model_type)
    processor = processor_of(model_type)
    for epoch in range(5):
        rows = texts.rows(epoch)
        assert [processor.decode(row.tolist()) for row in rows] == processor.decode(
            [r.tolist() for r in usual]
        )
        assert all(row.dtype == np.int32 for row in rows)
        assert [row.tolist() for row in rows] != [row.tolist() for row in usual]


def test_what_does_not_divide_into_known_words_is_cut_as_always():
    texts, usual = sampled(texts=["", "日本 日本", "▁ ▁▁ tower", "tower 日本"], strength=1.0)
    rows = [row.tolist() for row in texts.rows(0)]
    assert rows[:2] == [row.tolist() for row in usual[:2]]
    assert processor_of("bpe").decode(rows[3]) == processor_of("bpe").decode(usual[3].tolist())
    assert len(rows[3]) > len(usual[3])


def test_no_text_gets_longer_than_allowed():
    longest = max(len(row) for row in sampled()[1])
    texts, usual = sampled(strength=1.0, max_length=longest)
    rows = texts.rows(0)
    assert max(map(len, rows)) <= longest
    kept = [new.tolist() == row.tolist() for new, row in zip(rows, usual, strict=True)]
    assert any(kept)
    assert not all(sampled(strength=1.0)[0].rows(0)[at].tolist() == usual[at].tolist() for at in range(4))


def flat(rows):
    return [row.tolist() for row in rows]


def test_seed_and_epoch_decide():
    assert flat(sampled()[0].rows(3)) == flat(sampled()[0].rows(3))
    assert flat(sampled()[0].rows(3)) != flat(sampled()[0].rows(4))
    assert flat(sampled()[0].rows(3)) != flat(sampled(seed=(1, 0))[0].rows(3))


def test_another_process_draws_the_same():
    code = (
        "import random, sys, sentencepiece\n"
        "from keras_attn.training.batches.segmentations import WordSegmenter\n"
        "processor = sentencepiece.SentencePieceProcessor(model_proto=sys.stdin.buffer.read())\n"
        f"print(WordSegmenter(processor, 'bpe', 0.5, random.Random('(0, 1)')).draw({WORD!r}, 40))"
    )
    given = trained("bpe").model_proto
    answer = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert answer.stdout.decode().strip() == str(segmenter("bpe", 0.5, "(0, 1)").draw(WORD, 40))


@pytest.mark.parametrize(("kind", "size", "step"), [(Batches, 5, 1), (TokenBatches, 100, 4)])
def test_batches(kind, size, step):
    sources, targets = sampled()[0], sampled(seed=(0, 1))[0]
    first = kind(sources.rows(0), targets.rows(0), size, seed=7)
    made = SubwordSampling(first, sources, targets, step)
    count = len(made)
    for epoch in (0, 3):
        made.begin_epoch(epoch)
        assert len(made) == count
        assert sorted(np.concatenate([made.members(index) for index in range(count)])) == list(
            range(len(LINES))
        )
        for index in range(count):
            inputs, labels = made[index]
            for row, member in enumerate(made.members(index)):
                ids = labels[row][labels[row] > 0]
                np.testing.assert_array_equal(ids, [*targets.rows(epoch)[member], 2])
                np.testing.assert_array_equal(
                    inputs["source"][row][: len(sources.rows(epoch)[member])], sources.rows(epoch)[member]
                )
            width = max(len(row[row > 0]) for row in labels)
            assert labels.shape[1] == -(-width // step) * step
            assert not inputs["source"].shape[1] % step
    whole = [made[index][0]["target"] for index in range(count)]
    made.begin_epoch(3, first_batch=1)
    resumed = [inputs["target"] for inputs, _ in made.dataset().as_numpy_iterator()]
    assert len(resumed) == count - 1
    for one, other in zip(whole[1:], resumed, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("kind", "size"), [(Batches, 5), (TokenBatches, 100)])
def test_the_last_epochs_may_have_the_usual_subwords(kind, size):
    """The first ones are those of a training that samples in all, and the number of batches stays."""
    sources, targets = sampled()[0], sampled(seed=(0, 1))[0]
    first, other = (kind(sources.rows(0), targets.rows(0), size, seed=7) for _ in range(2))
    always = SubwordSampling(first, sources, targets)
    made = SubwordSampling(other, sources, targets, epochs=2)
    for epoch in (1, 2):
        for batches in (always, made):
            batches.begin_epoch(epoch)
        assert len(made) == len(always)
        for index in range(len(made)):
            labels = made[index][1]
            rows = targets.rows(1) if epoch == 1 else targets.usual_rows
            for row, member in zip(labels, made.members(index), strict=True):
                np.testing.assert_array_equal(row[row > 0], [*rows[member], 2])
            assert labels.shape[1] == max(len(row[row > 0]) for row in labels)
            if epoch == 1:
                np.testing.assert_array_equal(labels, always[index][1])
    assert flat(targets.usual_rows) != flat(targets.rows(2))


def test_words_have_no_subwords(recipe_of):
    with pytest.raises(RecipeError, match=r"subword_sampling.*needs subwords.*words"):
        recipe_of(tokenizer__kind="words", training__subword_sampling=0.1)
