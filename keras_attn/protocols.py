"""Protocols of decoders, strategies, processors, length penalties and tokenizers. Types only.

Letters, the same everywhere: **B** batch, **K** hypotheses a row, **S** source length, **T** target length,
**V** vocabulary.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias


class Step(NamedTuple):
    """Result of one decoding step.

    Attributes:
        logits: `[B, K, V]`, before any softmax.
        state: the same structure, dtypes and ranks as went in.
        alignment: `[B, K, S]` float32, the attention weights of this step.
    """

    logits: Any
    state: Any
    alignment: Any


class Decoder(Protocol):
    """A model that can be decoded step by step.

    `memory` is the encoder's side: leaves `[B, ...]`, computed once, never tiled. `state` is what changes:
    leaves `[B, K, ...]`. `step` is pure: it keeps nothing on the object.

    A decoder whose state is of another layout also has `reorder(state, parents)`, which returns the state in
    which hypothesis k goes on from `parents[k]`, int32 `[B, K]`; the first call may make K out of 1.
    """

    def start(self, source: Any) -> tuple[Any, Any]:
        """Encodes `source` ids `[B, S]` and returns (state with K = 1, memory)."""

    def step(self, tokens: Any, position: Any, state: Any, memory: Any) -> Step:
        """Feeds `tokens` `[B, K]`, the ones at `position` (a scalar from 0), and predicts the next ones."""


class Extension(NamedTuple):
    """Result of `ExtendableDecoder.extend` for n tokens per hypothesis.

    Attributes:
        logits: `[B, K, n, V]`: at place i, those that `step` would give after the first i + 1 tokens.
        extended: what `rewind` makes a state of; of the decoder's own making.
        alignment: `[B, K, n, S]` float32, the attention weights of each place.
    """

    logits: Any
    extended: Any
    alignment: Any


class ExtendableDecoder(Decoder, Protocol):
    """A decoder that can run several given tokens in one pass, and take back the last of them.

    For those whose pass over n tokens is cheaper than n steps; `keras_attn.decoding.speculative_greedy` asks
    it of its target.
    """

    def extend(self, tokens: Any, position: Any, state: Any, memory: Any) -> Extension:
        """Feeds `tokens` `[B, K, n]`, the first of them at `position`: the same as n calls of `step`."""

    def rewind(self, extended: Any, count: Any) -> Any:
        """The state after the first `count` (a scalar, 0 to n) of the tokens, as if none had followed."""


class Strategy(Protocol):
    """How hypotheses are searched for, e.g. `keras_attn.decoding.BeamSearch`.

    `hypotheses` are the strategy's own variables of the loop: a structure of tensors that begin with the
    batch axis, whose axis 2 may grow, with the tokens written so far as `hypotheses.tokens` `[B, K, t]`.
    `task` is a `keras_attn.decoding.task.Task`: end token, largest lengths, source mask. A row that has
    reached its own `task.limits` writes 0 while others go on.
    """

    @property
    def num_live(self) -> int:
        """K, how many hypotheses of a row the decoder is fed."""

    def begin(self, task: Any, source_length: Any, keep_slots: bool) -> Any:
        """The hypotheses before the first step; `keep_slots` where the way to the alignments is wanted."""

    def advance(self, hypotheses: Any, choices: Any, alignment: Any, position: Any, task: Any) -> Any:
        """One step further: hypotheses, tokens `[B, K]`, and their parents `[B, K]` or None.

        `choices` are `keras_attn.decoding.Choices` of logits `[B, K, V]`. The decoder's state is re-ordered
        by the parents, and left alone where they are None.
        """

    def is_done(self, hypotheses: Any, position: Any, task: Any) -> Any:
        """Whether nothing is left to do, a boolean scalar."""

    def select(self, hypotheses: Any, task: Any) -> Any:
        """The results, a `keras_attn.decoding.results.Selected`."""


# A processor has one or more of the three methods below. `partial` is a
# `keras_attn.decoding.processing.Partial`: the tokens so far `[B, K, t]`, t, V, the task.


class AdjustsLogits(Protocol):
    """A processor that changes the distribution."""

    def adjust(self, logits: Any, partial: Any) -> Any:
        """Logits `[B, K, V]` to others: it changes the distribution and the log-probabilities."""


class ForbidsTokens(Protocol):
    """A processor that restricts the choice."""

    def forbid(self, partial: Any) -> Any:
        """Which tokens may not be chosen: boolean, broadcasts to `[B, K, V]` and has all of V."""


class ForcesTokens(Protocol):
    """A processor that restricts the choice and overrides the restrictions of all others."""

    def force(self, forbidden: Any, partial: Any) -> Any:
        """The last word: what is forbidden, given what all others forbid (None for nothing)."""


Processor: TypeAlias = AdjustsLogits | ForbidsTokens | ForcesTokens


class LengthPenalty(Protocol):
    """The divisor of a hypothesis' log-probability, e.g. `keras_attn.decoding.GNMTLengthPenalty`.

    It is positive and monotonic in the length. `keras_attn.decoding.BeamSearch` only calls it; an export
    also lets each request set the strength.
    """

    @property
    def strength(self) -> float:
        """The default of the requests."""

    def __call__(self, length: Any, ended: bool = True) -> Any:
        """The divisor `[]` or `[B, 1]` for lengths, float `[]` or `[B, 1]`; `ended`: by the end token."""

    def with_strength(self, strength: Any) -> "LengthPenalty":
        """The same penalty with another strength, a number or float `[B]`; 0 divides by 1."""


class Tokenizer(Protocol):
    """Strings to ids and back, in graph. Ids 0 to 3 are those of `keras_attn.tokenizers.special_ids`.

    One with tables or other resources is a `tf.Module`, for an export to find them. One that also has
    `save(path)`, such as `keras_attn.tokenizers.load_tokenizer` reads, is saved beside the exported graph. A
    recipe can name the kinds of `keras_attn.tokenizers.register_tokenizer`.
    """

    vocabulary_size: int

    def encode(self, text: Any) -> Any:
        """Strings `[B]` to ragged int32 ids `[B, None]`, without start and end."""

    def decode(self, ids: Any) -> Any:
        """Ragged ids `[B, None]` to strings `[B]`."""

    def pieces(self, ids: Any) -> Any:
        """Ids of any shape to the string that each stands for, in the same shape."""
