"""Base class of the attentions that can run step by step."""

from typing import Any

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_attention_inputs
from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.masks import combine_masks
from keras_attn.ops.scores import masked_softmax, weighted_sum
from keras_attn.ops.step_loop import run_steps
from keras_attn.typing import Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class StepAttention(OutputShape, keras.layers.Layer):
    """Base of the attentions that `AttentionCell` and `AttentionRNN` run step by step.

    ```
    state_0                = initial_attention_state(...)
    weights[t, :]          = align(query[t], keys, state_{t-1})      softmax of logits where not overridden
    context[t]             = sum_s weights[t, s] value[s]
    state_t                = next_state(state_{t-1}, weights[t, :])  as it was, where nothing was to be seen
    ```

    A subclass gives `project_memory` and `logits`; it may give `align` in the place of the softmax, with
    `draw_noise` where it leaves something to chance, and `initial_attention_state` with `next_state` where a
    step depends on the ones before. The state is a flat
    tuple of tensors `[B, K, X]`, passed in and out and never kept on the object; an attention that
    remembers nothing has the empty tuple.

    The K queries of `attend` are independent hypotheses, each with a state of its own. The T queries of the
    layer's call are taken in order, each with the state that the one before left; without a state there is
    no order, and all are computed at once.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: for attentions that act otherwise in training.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for sequences or masks whose shapes do not go together, and for a float mask that is
            meant to be added to the logits; in a functional model, without a mask of the keys, where the
            padding mask that `value` once carried has got lost on its way.

    Differs from `keras.layers.Attention`: the three steps of its call can be run one by one, and a row whose
    keys are all masked gets weights 0 and context 0.

    Example, an attention that looks for the nearest key:

    >>> import keras, keras_attn
    >>> class NearestAttention(keras_attn.layers.StepAttention):
    ...     def project_memory(self, key):
    ...         return key
    ...     def logits(self, query, projected_key, state):
    ...         return -keras.ops.sum((query[:, :, None] - projected_key[:, None]) ** 2, axis=-1)
    >>> layer = NearestAttention()
    >>> tuple(layer(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 5))).shape)
    (2, 3, 5)

    Reference: Graves, Wayne, Danihelka, "Neural Turing Machines", 2014, section 3.3, for addressing by
    content and by the previous weighting.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """A subclass makes its weights here."""
        self.built = True

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        check_attention_inputs(query, value, key, query_mask, value_mask, key_mask, attention_mask)
        key = value if key is None else key
        keep = combine_masks(
            query,
            key,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
        )
        projected_key = self.project_memory(key)
        state = self.initial_attention_state(projected_key)
        if state:
            context, weights = self._attend_in_order(query, projected_key, value, keep, state, training)
        else:
            context, weights, _ = self.attend(query, projected_key, value, keep, state, training)
        return (context, weights) if return_attention_scores else context

    def project_memory(self, key: Tensor) -> Nested:
        """Projects the keys, which depend on no query: a decoder does it once.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            One tensor `[B, S, ...]` or a dictionary of them.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must have a method `project_memory(key)`.")

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Scores every query against every key.

        Args:
            query: `[B, K, Dq]`.
            projected_key: what `project_memory` returned.
            state: of each query.

        Returns:
            `[B, K, S]`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must have a method `logits(query, projected_key, state)`."
        )

    def initial_attention_state(self, projected_key: Nested) -> tuple[Tensor, ...]:
        """The state before the first query.

        Args:
            projected_key: what `project_memory` returned.

        Returns:
            A tuple of tensors `[B, 1, X]`; empty for an attention that remembers nothing.
        """
        return ()

    def draw_noise(self, query: Tensor, value: Tensor, training: bool | None = None) -> Tensor:
        """Draws the random numbers of each query, for a whole sequence before the loop over it.

        Args:
            query: `[B, T, ...]`, for its shape.
            value: `[B, S, ...]`, for its shape.
            training: for noise in training alone.

        Returns:
            A tensor `[B, T, X]`, whose rows `align` gets as `noise`; None, and `align` gets none, for an
            attention that leaves nothing to chance.
        """

    def align(
        self, query: Tensor, projected_key: Nested, keep: Tensor, state: Nested, training: bool | None = None
    ) -> Tensor:
        """Weights of every query: the masked softmax of `logits`.

        Args:
            query: `[B, K, Dq]`.
            projected_key: what `project_memory` returned.
            keep: boolean that broadcasts to `[B, K, S]`, True = keep, or None.
            state: of each query.
            training: for attentions that act otherwise in training.

        Returns:
            float32 `[B, K, S]`.
        """
        return masked_softmax(self.logits(query, projected_key, state), keep)

    def next_state(self, state: Nested, weights: Tensor) -> tuple[Tensor, ...]:
        """The state that a query leaves to the next one.

        Args:
            state: tuple of `[B, K, X]`.
            weights: `[B, K, S]`, of this query.

        Returns:
            A tuple of the same shapes and dtypes.
        """
        return state

    def attend(
        self,
        query: Tensor,
        projected_key: Nested,
        value: Tensor,
        keep: Tensor = None,
        state: Nested = None,
        training: bool | None = None,
        noise: Tensor = None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Attends with keys that `project_memory` has projected, for K independent queries a row.

        Args:
            query: `[B, K, Dq]`.
            projected_key: what `project_memory` returned; its batch is B, not B x K.
            value: `[B, S, Dv]`.
            keep: boolean that broadcasts to `[B, K, S]`, True = keep, or None.
            state: tuple of `[B, K, X]`, a state a query; the initial one when None.
            training: for attentions that act otherwise in training.
            noise: rows `[B, K, X]` of what `draw_noise` gave; drawn here when None.

        Returns:
            context `[B, K, Dv]`, float32 weights `[B, K, S]` and the new state.
        """
        if state is None:
            queries = ops.shape(query)[1]
            first = self.initial_attention_state(projected_key)
            state = tuple(ops.repeat(part, queries, axis=1) for part in first)  # [B, K, X]
        noise = self.draw_noise(query, value, training) if noise is None else noise
        chance = {} if noise is None else {"noise": noise}
        weights = self.align(query, projected_key, keep, state, training, **chance)
        after = self.next_state(state, weights)
        if keep is not None:
            # A query that sees nothing (padding) must not change what the ones after it remember.
            seeing = ops.any(keep, axis=-1, keepdims=True)  # [B, K, 1]
            after = tuple(ops.where(seeing, new, old) for new, old in zip(after, state, strict=True))
        return weighted_sum(weights, value), weights, after

    def _no_weights(self, projected_key):
        """Weights of 0 for every key, `[B, 1, S]`: what a state of weights begins with."""
        some_key = keras.tree.flatten(projected_key)[0]
        return ops.zeros_like(some_key[:, :, 0], dtype="float32")[:, None]

    def _attend_in_order(self, query, projected_key, value, keep, state, training):
        """One query after the other, each with the state that the one before left."""
        extras = {}
        if keep is not None:
            extras["keep"] = ops.logical_and(keep, ops.ones_like(query[:, :, :1], dtype="bool"))  # [B, T, S]
        noise = self.draw_noise(query, value, training)
        if noise is not None:
            extras["noise"] = noise

        def advance(state, rows):
            query, *rest = [row[:, None] for row in rows]  # [B, 1, ...]
            given = dict(zip(extras, rest, strict=True))
            state = tuple(state)
            context, weights, state = self.attend(
                query, projected_key, value, state=state, training=training, **given
            )
            return state, (context[:, 0], weights[:, 0])

        return run_steps(advance, state, [query, *extras.values()])  # [B, T, ...]

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """Shapes of the context and, if asked for, of the weights."""
        check_attention_inputs(query, value, key, query_mask, value_mask, key_mask, attention_mask)
        if value_mask is None and key_mask is None and attention_mask is None:
            require_mask(value, "value_mask", self)
        context = keras.KerasTensor((*query.shape[:2], value.shape[-1]), dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        return context, keras.KerasTensor((*query.shape[:2], value.shape[1]), dtype="float32")
