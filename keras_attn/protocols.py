"""The interfaces between the rooms of the house: types only.

Letters, the same everywhere: **B** batch, **K** hypotheses a row, **S** source length, **T** target length,
**V** vocabulary.
"""

from typing import Any, NamedTuple, Protocol


class Step(NamedTuple):
    """What one decoding step returns.

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
    """

    def start(self, source: Any) -> tuple[Any, Any]:
        """Encodes `source` ids `[B, S]` and returns (state with K = 1, memory)."""

    def step(self, tokens: Any, position: Any, state: Any, memory: Any) -> Step:
        """Feeds `tokens` `[B, K]`, the ones at `position` (a scalar from 0), and predicts the next ones."""


class Tokenizer(Protocol):
    """Strings to ids and back, in graph. Ids 0 to 3 are those of `keras_attn.text.special_ids`."""

    vocabulary_size: int

    def encode(self, text: Any) -> Any:
        """Strings `[B]` to ragged int32 ids `[B, None]`, without start and end."""

    def decode(self, ids: Any) -> Any:
        """Ragged ids `[B, None]` to strings `[B]`."""

    def pieces(self, ids: Any) -> Any:
        """Ids of any shape to the string that each stands for, in the same shape."""
