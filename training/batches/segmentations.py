"""Other ways to cut words into the pieces of a SentencePiece model."""

import math
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

# As many as Kudo's experiments take of a sentence (section 5.3); of a word fewer have any weight.
_N_BEST = 64


class WordSegmenter:
    """Cuts words at random.

    A BPE model merges the pairs of a word by their ranks, where at every merge each of them is passed over
    with probability p (BPE-dropout). A unigram model draws one of its 64 best segmentations x, with
    probability proportional to `P(x)^α`. `sentencepiece` can do both, but not by a seed: its draws differ
    from process to process.

    Args:
        processor: a `sentencepiece.SentencePieceProcessor`.
        model_type: "bpe" or "unigram", as the model was trained.
        strength: p in (0, 1], or α > 0, of which less is more random.
        random: a `random.Random`.

    Reference: Provilkov, Emelianenko and Voita, "BPE-Dropout", ACL 2020, algorithm 1; Kudo, "Subword
    Regularization", ACL 2018, section 3.3.
    """

    def __init__(self, processor: Any, model_type: str, strength: float, random: Random):
        self._processor = processor
        self._strength = strength
        self._random = random
        self._draw = {"bpe": self._merge, "unigram": self._choose}[model_type]
        self._ids = {processor.id_to_piece(index): index for index in range(processor.get_piece_size())}

    def draw(self, word: str, number: int) -> list[list[int]]:
        """Lists of ids, `number` of them.

        A word with a character that no piece has is cut as always, which is one list.

        Args:
            word: in SentencePiece's normal form, which begins with "▁".
            number: of draws.
        """
        usual = self._processor.encode(word.removeprefix("▁"))
        if not all(piece in self._ids for piece in word):
            return [usual]
        return self._draw(word, number)

    def _merge(self, word, number):
        merges = cache(self._merges)  # draws go the same ways again and again
        return [self._merged(tuple(word), merges) for _ in range(number)]

    def _merged(self, pieces, merges):
        while True:
            taken = (merged for merged in merges(pieces) if self._random.random() >= self._strength)
            merged = next(taken, None)
            if merged is None:
                return [self._ids[piece] for piece in pieces]
            pieces = merged

    def _merges(self, pieces):
        """The results of every possible merge of two pieces, the merge that was learnt first at the front."""
        pairs = [(self._ids.get(a + b), place) for place, (a, b) in enumerate(pairwise(pieces))]
        ordered = sorted(pair for pair in pairs if pair[0] is not None)  # ids are in the order of learning
        return [(*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :]) for _, at in ordered]

    def _choose(self, word, number):
        found = self._processor.nbest_encode_as_ids(word.removeprefix("▁"), _N_BEST)
        scores = [self._strength * sum(map(self._processor.get_score, ids)) for ids in found]
        weights = [math.exp(score - max(scores)) for score in scores]
        return self._random.choices(found, weights, k=number)
