"""Hypotheses and a beam search of one row in NumPy, with the penalties written out."""

from itertools import product

import numpy as np

START, END = 1, 2


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


class Oracle:
    """`Remembering` for one row, in NumPy, with the penalties written out."""

    def __init__(self, table, width, length_penalty="none", alpha=0.0, beta=0.0):
        self.table, self.width = table, width
        self.length_penalty, self.alpha, self.beta = length_penalty, alpha, beta

    @staticmethod
    def fed(tokens):
        number = START
        for token in tokens:
            number = (3 * number + token) % 97
        return number

    def following(self, tokens):
        """Log-probabilities of what follows."""
        rows, size = self.table.shape
        return log_softmax(self.table[self.fed(tokens) % rows] + np.cos(len(tokens) * np.arange(1, size + 1)))

    def log_prob(self, tokens):
        return sum(self.following(tokens[:t])[token] for t, token in enumerate(tokens))

    def alignment(self, tokens):
        places = [self.fed(tokens[:t]) % self.width for t in range(len(tokens))]
        return np.eye(self.width)[places].reshape(-1, self.width)

    def score(self, tokens):
        length, ended = len(tokens), bool(tokens) and tokens[-1] == END
        divisor = {
            "none": 1,
            "gnmt": ((5 + length) / 6) ** self.alpha,
            "power": max(length, 1) ** self.alpha,
            "power without end": max(length - ended, 1) ** self.alpha,
        }[self.length_penalty]
        covered = np.clip(self.alignment(tokens).sum(axis=0), 1e-9, 1)
        return self.log_prob(tokens) / divisor + self.beta * np.log(covered).sum()

    def everything(self, max_length):
        """All hypotheses, as they are to be returned: finished ones first, best first."""
        others = [token for token in range(self.table.shape[1]) if token != END]
        finished = [
            (*tokens, END) for length in range(max_length) for tokens in product(others, repeat=length)
        ]
        unfinished = list(product(others, repeat=max_length))
        return sorted(finished, key=self.score)[::-1] + sorted(unfinished, key=self.score)[::-1]


def plain_beam(oracle, search, max_length, needed=None):
    """Beam search as one would write it for a single row."""
    live, finished = [()], []
    for _ in range(max_length):
        candidates = [(*tokens, token) for tokens in live for token in range(oracle.table.shape[1])]
        candidates = sorted(candidates, key=oracle.log_prob)[::-1]
        finished += [tokens for tokens in candidates[: search.beam_size] if tokens[-1] == END]
        live = [tokens for tokens in candidates if tokens[-1] != END][: search.beam_size]
        if needed is not None and len(finished) >= needed:
            break
    ranked = sorted(finished, key=oracle.score)[::-1] + sorted(live, key=oracle.score)[::-1]
    return ranked[: search.num_hypotheses]
