"""A recurrent decoder that attends to a memory at every step (Bahdanau, Cho and Bengio 2015)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionRNN(keras.layers.Layer):
    """Runs a recurrent cell over a sequence while it attends to a memory.

    At each step t, in the order of Bahdanau et al. (the previous state asks, the context enters the cell):

    ```
    c_t, a_t = attention(s_{t-1}, memory)
    s_t      = cell([x_t; c_t], s_{t-1})
    y_t      = [s_t; c_t]
    ```

    The memory is an argument of the call and never kept on the object, so the layer saves, loads and
    exports like any other. `call` runs a whole sequence (teacher forcing); `prepare_memory` and `step` run
    the same computation one step at a time for K hypotheses a row, against one copy of the memory.

    Args:
        cell: a Keras RNN cell without dropout, e.g. `keras.layers.GRUCell(128)`; `LSTMCell` and
            `StackedRNNCells` do as well. The first of its states asks.
        attention: a layer with `project_memory` and `attend`, e.g.
            `keras_attn.layers.BahdanauAttention(128)`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        sequences: `[B, T, D]`.
        memory: `[B, S, M]`.
        memory_mask: boolean `[B, S]`, True = keep; None keeps all.
        initial_state: a list of `[B, H]`, one a state of the cell, in the order of its `state_size`
            flattened; zeros when None.
        return_attention_scores: also return the weights.

    Returns:
        `[B, T, H + M]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for an `attention` that lacks one of the two methods, or a cell with dropout.

    Example:

    >>> import keras, keras_attn
    >>> rnn = keras_attn.layers.AttentionRNN(keras.layers.GRUCell(6), keras_attn.layers.BahdanauAttention(4))
    >>> tuple(rnn(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 8))).shape)
    (2, 3, 14)

    Reference: Bahdanau, Cho, Bengio 2015, section 3.1 and appendix A.1.1.
    """

    def __init__(self, cell, attention, **kwargs):
        super().__init__(**kwargs)
        for method in ("project_memory", "attend"):
            if not hasattr(attention, method):
                raise ValueError(
                    f"`attention` must have a method `{method}`. Expected a layer such as BahdanauAttention. "
                    f"Received: attention={attention}."
                )
        for part in getattr(cell, "cells", [cell]):
            if getattr(part, "dropout", 0) or getattr(part, "recurrent_dropout", 0):
                # Keras' cells keep their dropout mask on the object, where one batch's would meet the next.
                raise ValueError(
                    "`cell` must not have dropout of its own. Expected dropout=0 and recurrent_dropout=0. "
                    f"Received: cell={part}. Put `keras.layers.Dropout` before or after the layer."
                )
        self.cell = cell
        self.attention = attention
        self.supports_masking = True
        # XLA cannot compile the loop over TensorLists whose element shapes are dynamic.
        self.supports_jit = False

    def build(self, sequences_shape, memory_shape, memory_mask_shape=None, initial_state_shape=None):
        """Builds the attention on (state, memory) and the cell on (input and context)."""
        hidden_dim = keras.tree.flatten(self.cell.state_size)[0]
        if not self.attention.built:
            self.attention.build((sequences_shape[0], None, hidden_dim), memory_shape)
        if not self.cell.built:
            self.cell.build((sequences_shape[0], sequences_shape[-1] + memory_shape[-1]))
        self.built = True

    def call(
        self,
        sequences,
        memory,
        memory_mask=None,
        initial_state=None,
        return_attention_scores=False,
        training=None,
    ):
        """See the class."""
        prepared = self.prepare_memory(memory, memory_mask)
        state = self._initial_state(memory, initial_state)
        outputs = ops.zeros((ops.shape(memory)[0], 1, self._output_dim(memory)), self.compute_dtype)
        weights = ops.zeros_like(ops.cast(memory[:, :, 0], "float32"))[:, None]  # [B, 1, S]
        # `scan` wants what it stacks to look like what it carries: weights are carried only where asked for.
        recorded = (outputs, weights) if return_attention_scores else (outputs,)

        def advance(carry, inputs):
            state, *_ = carry
            outputs, state, _, weights = self.step(inputs[:, None], state, prepared, training)
            carry = (state, outputs, weights) if return_attention_scores else (state, outputs)
            return carry, carry

        _, (_, *steps) = ops.scan(advance, (state, *recorded), ops.swapaxes(sequences, 0, 1))
        outputs, *rest = [ops.swapaxes(ops.squeeze(x, 2), 0, 1) for x in steps]  # [B, T, ...]
        return (outputs, rest[0]) if return_attention_scores else outputs

    def prepare_memory(self, memory, memory_mask=None):
        """What every step needs of the memory, computed once.

        Args:
            memory: `[B, S, M]`.
            memory_mask: boolean `[B, S]`, True = keep, or None.

        Returns:
            A dictionary of `[B, S, ...]` tensors for `step`.
        """
        if memory_mask is None:
            memory_mask = ops.ones_like(memory[:, :, 0], dtype="bool")
        return {"keys": self.attention.project_memory(memory), "values": memory, "mask": memory_mask}

    def step(self, inputs, state, memory, training=None):
        """One step of K hypotheses a row.

        Args:
            inputs: `[B, K, D]`.
            state: list of `[B, K, H]`, one a state of the cell, flattened where the cell nests them.
            memory: what `prepare_memory` returned; its batch is B, not B x K.
            training: passed on to the cell.

        Returns:
            outputs `[B, K, H + M]`, the new state, the context `[B, K, M]` and the weights `[B, K, S]`.
        """
        keep = ops.expand_dims(memory["mask"], 1)  # [B, 1, S]
        context, weights = self.attention.attend(state[0], memory["keys"], memory["values"], keep)
        beams = ops.shape(inputs)[1]
        cell_inputs = _merge_beams(ops.concatenate([inputs, context], axis=-1))  # [B K, D + M]
        cell_state = self._as_cell_state([_merge_beams(part) for part in state])
        hidden, cell_state = self.cell(cell_inputs, cell_state, training=training)
        state = [_split_beams(part, beams) for part in keras.tree.flatten(cell_state)]
        outputs = ops.concatenate([_split_beams(hidden, beams), context], axis=-1)
        return ops.cast(outputs, self.compute_dtype), state, context, weights

    def compute_output_spec(self, sequences, memory, *args, return_attention_scores=False, **kwargs):
        """Shapes of the outputs and, if asked for, of the weights."""
        shape = (*sequences.shape[:2], self._output_dim(memory))
        outputs = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        return outputs, keras.KerasTensor((*sequences.shape[:2], memory.shape[1]), dtype="float32")

    def get_config(self):
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "attention": keras.saving.serialize_keras_object(self.attention),
        }

    @classmethod
    def from_config(cls, config):
        """Makes the cell and the attention from their own configurations first."""
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        attention = keras.saving.deserialize_keras_object(config.pop("attention"))
        return cls(cell, attention, **config)

    def _initial_state(self, memory, initial_state):
        if initial_state is None:
            initial_state = self.cell.get_initial_state(batch_size=ops.shape(memory)[0])
        return [part[:, None] for part in keras.tree.flatten(initial_state)]  # [B, 1, H]

    def _as_cell_state(self, flat_state):
        """A list of states in the nesting that the cell wants; a cell with one state wants a list too."""
        sizes = self.cell.state_size
        return keras.tree.pack_sequence_as(sizes, flat_state) if keras.tree.is_nested(sizes) else flat_state

    def _output_dim(self, memory):
        first_state = keras.tree.flatten(self.cell.state_size)[0]
        return (getattr(self.cell, "output_size", None) or first_state) + memory.shape[-1]


def _merge_beams(tensor):
    """`[B, K, D]` to `[B K, D]`."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _split_beams(tensor, beams):
    """`[B K, D]` to `[B, K, D]`."""
    return ops.reshape(tensor, (-1, beams, tensor.shape[-1]))
