"""A recurrent decoder that attends to a memory at every step (Bahdanau, Cho and Bengio 2015)."""

from typing import Any

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_memory, check_padding_mask, check_sequences
from keras_attn.checks.batches import check_batch
from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.layers.output_shape import OutputShape
from keras_attn.layers.recurrent.attention_cell import AttentionCell
from keras_attn.layers.recurrent.cell_steps import check_state
from keras_attn.ops.heads import zero_unseen
from keras_attn.ops.step_loop import run_steps
from keras_attn.typing import Activation, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionRNN(OutputShape, AttentionCell):
    """Runs an `AttentionCell` over a sequence: a recurrent cell that attends to a memory at each step.

    As a rule in the order of Bahdanau et al. (the previous state asks, the context enters the cell):

    ```
    c_t, a_t = attention(s_{t-1}, memory)
    s_t      = cell([x_t; c_t], s_{t-1})
    y_t      = [s_t; c_t]
    ```

    and with `order`, `input_feeding` and `attention_units` as in Luong et al.; `AttentionCell` has the
    formulae. The memory is an argument of the call and never kept on the object, so the layer saves, loads
    and exports like any other. `call` runs a whole sequence (teacher forcing); `prepare_memory`,
    `initial_state` and `step` run the same computation one step at a time for K hypotheses a row, against
    one copy of the memory. `keras.layers.RNN` has no way to give a cell a memory.

    Args:
        cell: a Keras RNN cell without dropout, e.g. `keras.layers.GRUCell(128)`; `LSTMCell` and
            `StackedRNNCells` do as well. In Bahdanau's order the first of its states asks, in Luong's its
            output.
        attention: a `keras_attn.layers.StepAttention`, e.g. `keras_attn.layers.BahdanauAttention(128)`. It
            and the cell are this layer's own: where two layers shared them, a loaded `.keras` file would have
            two of each. Share the layer.
        order: `"bahdanau"` or `"luong"`.
        input_feeding: whether the previous attention vector is a further input of the cell.
        attention_units: width of the attention vector tanh(W [c; s]); None for the context itself.
        attention_activation: of the attention vector. Default `"tanh"`.
        output: `"attention"` for the attention vector, `"hidden"` for s_t, `"both"` for [s_t; c_t]. None is
            `"attention"` where there are `attention_units`, else `"both"`.
        cell_dropout: rate of the dropout between the cells of a `StackedRNNCells`: on what goes up, never on
            what goes on in time, anew at every step. Default 0.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        sequences: `[B, T, D]`.
        memory: `[B, S, M]`.
        memory_mask: boolean `[B, S]`, True = keep; None keeps all.
        initial_state: a list of `[B, H]`, one a state of the cell, in the order of its `state_size`
            flattened; zeros when None.
        return_attention_scores: also return the weights.
        training: passed on to the cell and the attention.
        sequences_mask: boolean `[B, T]`, True = keep: a masked place leaves the state as it was, and its
            output and weights are 0; None keeps all.

    Returns:
        `[B, T, Y]`, where Y is H + M without `attention_units`; with `return_attention_scores`, also the
        float32 weights `[B, T, S]`.

    Raises:
        ValueError: for an `attention` that cannot be run step by step, a cell with dropout of its own,
            `cell_dropout` with a single cell, or an unknown order or output; in a functional model, without
            `memory_mask`, where the padding mask that the memory once carried has got lost on its way.

    Example:

    >>> import keras, keras_attn
    >>> rnn = keras_attn.layers.AttentionRNN(keras.layers.GRUCell(6), keras_attn.layers.BahdanauAttention(4))
    >>> tuple(rnn(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 8))).shape)
    (2, 3, 14)

    Reference: Bahdanau, Cho, Bengio 2015, section 3.1 and appendix A.1.1; Luong, Pham, Manning 2015.
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        attention: StepAttention,
        *,
        order: str = "bahdanau",
        input_feeding: bool = False,
        attention_units: int | None = None,
        attention_activation: Activation | None = "tanh",
        output: str | None = None,
        cell_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cell,
            attention,
            order=order,
            input_feeding=input_feeding,
            attention_units=attention_units,
            attention_activation=attention_activation,
            output=output,
            cell_dropout=cell_dropout,
            **kwargs,
        )
        self.supports_masking = True

    def build(  # type: ignore[override]
        self,
        sequences_shape: Shape,
        memory_shape: Shape,
        memory_mask_shape: Shape | None = None,
        initial_state_shape: Nested = None,
        sequences_mask_shape: Shape | None = None,
    ) -> None:
        """Builds the attention on (state, memory), the cell on all of its input, and the attention vector."""
        check_sequences(sequences=sequences_shape)
        super().build(sequences_shape, memory_shape)

    def call(  # type: ignore[override]
        self,
        sequences: Tensor,
        memory: Tensor,
        memory_mask: Tensor = None,
        initial_state: Nested = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        sequences_mask: Tensor = None,
    ) -> Nested:
        """See the class."""
        check_padding_mask("sequences_mask", sequences_mask, sequences)
        prepared = self.prepare_memory(memory, memory_mask)
        state = self.initial_state(prepared, initial_state)
        check_batch(("sequences", sequences), memory=memory, initial_state=initial_state)
        noise = self.attention.draw_noise(sequences, memory, training)
        drawn = {"noise": noise, "masks": self.draw_masks(sequences, training)}
        if sequences_mask is not None:
            keep = ops.expand_dims(ops.cast(sequences_mask, "bool"), -1)
            drawn["keep"] = ops.logical_and(keep, ops.ones_like(sequences[:, :, :1], "bool"))  # [B, T, 1]
        drawn = {name: rows for name, rows in drawn.items() if rows is not None}

        def advance(state, rows):
            inputs, *rest = [row[:, None] for row in rows]  # [B, 1, ...]
            given = dict(zip(drawn, rest, strict=True))
            keep = given.pop("keep", None)
            outputs, after, _, weights = self.step(inputs, state, prepared, training, **given)
            if keep is not None:
                after = [ops.where(keep, new, old) for new, old in zip(after, state, strict=True)]
            recorded = (outputs, weights) if return_attention_scores else (outputs,)
            return after, [zero_unseen(x, keep)[:, 0] for x in recorded]

        steps = run_steps(advance, state, [sequences, *drawn.values()])  # [B, T, ...]
        return tuple(steps) if return_attention_scores else steps[0]

    def compute_output_spec(
        self,
        sequences: Tensor,
        memory: Tensor,
        memory_mask: Tensor = None,
        initial_state: Nested = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        sequences_mask: Tensor = None,
    ) -> Nested:
        """Shapes of the outputs and, if asked for, of the weights."""
        check_memory(memory, memory_mask)
        check_padding_mask("sequences_mask", sequences_mask, sequences)
        if initial_state is not None:
            check_state(self.cell, initial_state)
        check_batch(("sequences", sequences), memory=memory, initial_state=initial_state)
        if memory_mask is None:
            require_mask(memory, "memory_mask", self)
        shape = (*sequences.shape[:2], self._output_dim(memory.shape[-1]))
        outputs = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        return outputs, keras.KerasTensor((*sequences.shape[:2], memory.shape[1]), dtype="float32")
