"""Texts that are cut into subwords anew whenever asked."""

import random
from collections.abc import Sequence
from itertools import chain

import numpy as np
import sentencepiece

from keras_attn.tokenizers import SentencePieceTokenizer
from keras_attn.training.batches.segmentations import WordSegmenter

# Cuts that are drawn of a word: most words have fewer that come up at all.
_DRAWS = 32


class SampledTexts:
    """The ids of some texts, of which the words are cut at random.

    Every different word is cut some times at the beginning, which is slow; later each word of a text takes
    any of its cuts, which is fast. A text that gets too long, or whose usual ids are not those of its words
    one after the other, is given as always.

    Args:
        tokenizer: a `SentencePieceTokenizer`.
        model_type: "bpe" or "unigram", as it was trained.
        strength: see `WordSegmenter`.
        texts: strings.
        rows: their usual ids, int32 arrays.
        max_length: the largest number of ids.
        seed: integers, of which the same draw the same in every process.

    Attributes:
        usual_rows: `rows`.
    """

    def __init__(
        self,
        tokenizer: SentencePieceTokenizer,
        model_type: str,
        strength: float,
        texts: Sequence[str],
        rows: list[np.ndarray],
        max_length: int,
        seed: tuple[int, ...],
    ):
        processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_proto)
        segmenter = WordSegmenter(processor, model_type, strength, random.Random(str(seed)))
        words_of = [_words(processor.normalize(text)) for text in texts]
        numbers = {word: number for number, word in enumerate(dict.fromkeys(chain(*words_of)))}
        cuts = [segmenter.draw(word, _DRAWS) for word in numbers]
        self._num_cuts = np.array([len(of_word) for of_word in cuts], np.int64)
        self._cuts = _Lists(list(chain(*cuts)))
        self._words = _Lists([[numbers[word] for word in words] for words in words_of])
        usual = [processor.encode(word.removeprefix("▁")) for word in numbers]
        self._divides = [
            list(chain(*(usual[numbers[word]] for word in words))) == row.tolist()
            for words, row in zip(words_of, rows, strict=True)
        ]
        self.usual_rows, self._max_length, self._seed = rows, max_length, seed

    def rows(self, epoch: int) -> list[np.ndarray]:
        """The ids of the texts in epoch `epoch`, a list of int32 arrays."""
        generator = np.random.default_rng((*self._seed, epoch))
        words = self._words.items
        first_cuts = np.cumsum(self._num_cuts) - self._num_cuts
        cuts = first_cuts[words] + generator.integers(self._num_cuts[words])
        text_ends = np.concatenate([[0], np.cumsum(self._cuts.lengths[cuts])])[self._words.ends]
        drawn = np.split(self._cuts.joined(cuts), text_ends[:-1])
        return [
            new if divides and len(new) <= self._max_length else row
            for new, divides, row in zip(drawn, self._divides, self.usual_rows, strict=True)
        ]


class _Lists:
    """Lists of integers, kept end to end in an int32 array."""

    def __init__(self, lists):
        self.lengths = np.array([len(items) for items in lists], np.int64)
        self.ends = np.cumsum(self.lengths)
        self.items = np.fromiter(chain(*lists), np.int32, self.lengths.sum())

    def joined(self, chosen):
        """The items of some lists, one list after the other."""
        lengths, begins = self.lengths[chosen], (self.ends - self.lengths)[chosen]
        shifts = begins - (np.cumsum(lengths) - lengths)  # from where an item gets to, back to where it is
        return self.items[np.arange(lengths.sum()) + np.repeat(shifts, lengths)]


def _words(normal):
    """The words of a text in SentencePiece's normal form, each with the "▁" that it begins with."""
    return ["▁" + word for word in normal.split("▁")[1:]]
