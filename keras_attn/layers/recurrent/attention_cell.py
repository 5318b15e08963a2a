"""One step of a recurrent cell that attends to a memory (Bahdanau et al. 2015; Luong et al. 2015)."""

import functools
from typing import Any, Self

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_memory, check_sequences
from keras_attn.checks.batches import check_batch
from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.layers.recurrent.cell_steps import (
    check_cell,
    check_cell_dropout,
    check_state,
    hidden_dim,
    state_dims,
    step_cell,
    zero_state,
)
from keras_attn.ops.step_loop import rowwise
from keras_attn.typing import Activation, Config, Nested, Shape, Tensor

ORDERS = ("bahdanau", "luong")
OUTPUTS = ("both", "attention", "hidden")


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionCell(keras.layers.Layer):
    """A recurrent cell with attention to a memory: one step, for K hypotheses a row at once.

    ```
    order="bahdanau"                                  order="luong"
    c_t, a_t = attention(s_{t-1}, memory)             s_t      = cell([x_t; v_{t-1}], s_{t-1})
    s_t      = cell([x_t; v_{t-1}; c_t], s_{t-1})     c_t, a_t = attention(s_t, memory)

    v_t = tanh(W [c_t; s_t])     the attention vector; without attention_units, v_t = c_t
    y_t = v_t                    or, without attention_units, [s_t; c_t]
    ```

    v_{t-1} enters the cell with `input_feeding` only; it is zeros at first. s stands for the cell's output;
    in Bahdanau's order, for the first of the cell's states where it asks.

    Nothing is kept on the object. The memory is an argument, one copy for the K hypotheses of a row; what
    changes is the state, a flat list of `[B, K, X]`: the states of the cell, then v with `input_feeding`,
    then the attention's own state. In a loop, call `prepare_memory` and `initial_state` once and `step` at
    every step; the layer's call projects the memory anew each time.

    Differs from `keras.layers.RNN` cells, which know no memory, and from tfa.seq2seq.AttentionWrapper, which
    kept the memory on the attention, had Luong's order only, and no tanh.

    Args:
        cell: a Keras RNN cell without dropout, e.g. `keras.layers.GRUCell(128)`; `LSTMCell` and
            `StackedRNNCells` do as well.
        attention: a `keras_attn.layers.StepAttention`, e.g. `BahdanauAttention(128)`.
        order: `"bahdanau"`: the previous state asks and the context enters the cell; or `"luong"`: the cell
            goes first and its output asks.
        input_feeding: whether the previous attention vector is a further input of the cell.
        attention_units: width of the attention vector; None for the context itself.
        attention_activation: of the attention vector. Default `"tanh"`.
        output: `"attention"` for v_t, `"hidden"` for s_t, `"both"` for [s_t; c_t]. None is `"attention"`
            where there are `attention_units`, else `"both"`.
        cell_dropout: rate of the dropout between the cells of a `StackedRNNCells`: on what goes up, never on
            what goes on in time, anew at every step (Zaremba et al. 2014). Default 0.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, K, D]`.
        memory: `[B, S, M]`.
        state: list as above; the initial one when None.
        memory_mask: boolean `[B, S]`, True = keep; None keeps all.
        training: passed on to the cell and the attention.

    Returns:
        The output `[B, K, Y]`, the new state and the float32 weights `[B, K, S]`.

    Raises:
        ValueError: for an `attention` that cannot be run step by step, a cell with dropout of its own,
            `cell_dropout` with a single cell, or an unknown order or output.

    Example:

    >>> import keras, keras_attn
    >>> attention = keras_attn.layers.LuongAttention("general")
    >>> cell = keras_attn.layers.AttentionCell(
    ...     keras.layers.LSTMCell(6), attention, order="luong", input_feeding=True, attention_units=4
    ... )
    >>> memory = cell.prepare_memory(keras.ops.ones((2, 7, 8)))
    >>> state = cell.initial_state(memory)
    >>> for x in keras.ops.ones((3, 2, 1, 5)):
    ...     output, state, context, weights = cell.step(x, state, memory)
    >>> tuple(output.shape), [tuple(part.shape) for part in state]
    ((2, 1, 4), [(2, 1, 6), (2, 1, 6), (2, 1, 4)])

    Reference: Bahdanau, Cho, Bengio 2015, section 3.1; Luong, Pham, Manning 2015, equation 5 and section 3.3;
    of the dropout: Zaremba, Sutskever, Vinyals, "Recurrent Neural Network Regularization", 2014, section 3.2.
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
        super().__init__(**kwargs)
        _check_attention(attention)
        check_cell(cell)
        check_cell_dropout(cell, cell_dropout)
        _check_choice("order", order, ORDERS)
        _check_choice("output", output, (None, *OUTPUTS))
        self.cell = cell
        self.attention = attention
        self.order = order
        self.input_feeding = input_feeding
        self.attention_units = attention_units
        self.attention_activation = keras.activations.get(attention_activation)
        self.output_kind = output
        self.cell_dropout = cell_dropout
        self.between_cells = None
        if cell_dropout:
            options = {"dtype": self.dtype_policy, "name": "between_cells"}
            self.between_cells = keras.layers.Dropout(cell_dropout, **options)
        self.attention_projection = None
        if attention_units is not None:
            self.attention_projection = keras.layers.Dense(
                attention_units,
                activation=self.attention_activation,
                use_bias=False,
                dtype=self.dtype_policy,
                name="attention_vector",
            )

    def build(
        self,
        inputs_shape: Shape,
        memory_shape: Shape,
        state_shape: Nested = None,
        memory_mask_shape: Shape | None = None,
    ) -> None:
        """Builds the attention on (state, memory), the cell on all of its input, and the attention vector."""
        check_sequences(inputs=inputs_shape, memory=memory_shape)
        self._build_attention(memory_shape)
        memory_dim = memory_shape[-1]
        if not self.cell.built:
            width = inputs_shape[-1] + (memory_dim if self.order == "bahdanau" else 0)
            width += self._vector_dim(memory_dim) if self.input_feeding else 0
            self.cell.build((inputs_shape[0], width))
        if self.attention_projection is not None and not self.attention_projection.built:
            self.attention_projection.build((*inputs_shape[:2], memory_dim + hidden_dim(self.cell)))
        self.built = True

    def call(
        self,
        inputs: Tensor,
        memory: Tensor,
        state: Nested = None,
        memory_mask: Tensor = None,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        prepared = self.prepare_memory(memory, memory_mask)
        check_batch(("inputs", inputs), memory=memory, state=state)
        if state is None:
            state = self.initial_state(prepared)
            beams = ops.shape(inputs)[1]
            state = [ops.repeat(part, beams, axis=1) for part in state]
        outputs, state, _, weights = self.step(inputs, state, prepared, training)
        return outputs, state, weights

    def prepare_memory(self, memory: Tensor, memory_mask: Tensor = None) -> Nested:
        """Prepares the memory for all steps, once.

        Args:
            memory: `[B, S, M]`.
            memory_mask: boolean `[B, S]`, True = keep, or None.

        Returns:
            A dictionary of `[B, S, ...]` tensors for `step`.
        """
        check_memory(memory, memory_mask)
        self._build_attention(memory.shape)
        if memory_mask is None:
            memory_mask = ops.ones_like(memory[:, :, 0], dtype="bool")
        return {"keys": self.attention.project_memory(memory), "values": memory, "mask": memory_mask}

    def initial_state(self, memory: Tensor, cell_state: Nested = None) -> Nested:
        """The state before the first step.

        Args:
            memory: what `prepare_memory` returned.
            cell_state: a list of `[B, H]`, one a state of the cell, in the order of its `state_size`
                flattened; zeros when None.

        Returns:
            A list of `[B, 1, X]`: the states of the cell, the attention vector with `input_feeding`, the
            attention's state.
        """
        values = memory["values"]
        if cell_state is None:
            cell_state = zero_state(self.cell, ops.shape(values)[0], self.compute_dtype)
        check_state(self.cell, cell_state)
        state = [part[:, None] for part in keras.tree.flatten(cell_state)]  # [B, 1, H]
        if self.input_feeding:
            shape = (ops.shape(values)[0], 1, self._vector_dim(values.shape[-1]))
            state.append(ops.zeros(shape, self.compute_dtype))
        return state + list(self.attention.initial_attention_state(memory["keys"]))

    def draw_masks(self, inputs: Tensor, training: bool | None = None) -> Nested:
        """The dropout between the cells, drawn for all of a sequence before the loop over it.

        Args:
            inputs: `[B, T, ...]`, for its shape alone.
            training: whether dropout is active.

        Returns:
            Zeros and 1 / (1 - rate), `[B, T, X]`, where X is the width of all cells but the highest, whose
            rows `step` takes as `masks`; None where nothing is dropped.
        """
        if self.between_cells is None or not training:
            return None
        width = sum(hidden_dim(cell) for cell in self.cell.cells[:-1])
        ones = ops.ones((*ops.shape(inputs)[:2], width), self.compute_dtype)
        return self.between_cells(ones, training=True)

    def step(
        self,
        inputs: Tensor,
        state: Nested,
        memory: Tensor,
        training: bool | None = None,
        noise: Tensor = None,
        masks: Nested = None,
    ) -> Nested:
        """One step of K hypotheses a row.

        Args:
            inputs: `[B, K, D]`.
            state: list of `[B, K, X]`, as `initial_state` or the previous step returned it.
            memory: what `prepare_memory` returned; its batch is B, not B x K.
            training: passed on to the cell and the attention.
            noise: rows `[B, K, X]` of what the attention's `draw_noise` gave for the whole sequence; None,
                and the attention draws its own.
            masks: rows `[B, K, X]` of what `draw_masks` gave for the whole sequence; drawn here when None.

        Returns:
            outputs `[B, K, Y]`, the new state, the context `[B, K, M]` and the weights `[B, K, S]`.
        """
        cell_state, fed, attention_state = self._split(state)
        attend = functools.partial(
            self._attend, attention_state=attention_state, memory=memory, training=training, noise=noise
        )
        masks = self.draw_masks(inputs, training) if masks is None else masks
        if self.order == "bahdanau":
            context, weights, attention_state = attend(cell_state[0])
            hidden, cell_state = self._advance([inputs, *fed, context], cell_state, training, masks)
        else:
            hidden, cell_state = self._advance([inputs, *fed], cell_state, training, masks)
            context, weights, attention_state = attend(hidden)
        vector = self._attention_vector(context, hidden)
        state = [*cell_state, *([vector] if self.input_feeding else []), *attention_state]
        return self._output(hidden, context, vector), state, context, weights

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "attention": keras.saving.serialize_keras_object(self.attention),
            "order": self.order,
            "input_feeding": self.input_feeding,
            "attention_units": self.attention_units,
            "attention_activation": keras.activations.serialize(self.attention_activation),
            "output": self.output_kind,
            "cell_dropout": self.cell_dropout,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the cell and the attention from their own configurations first."""
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        attention = keras.saving.deserialize_keras_object(config.pop("attention"))
        return cls(cell, attention, **config)

    def _build_attention(self, memory_shape):
        if not self.attention.built:
            query_dim = state_dims(self.cell)[0] if self.order == "bahdanau" else hidden_dim(self.cell)
            self.attention.build((memory_shape[0], None, query_dim), memory_shape)

    def _split(self, state):
        """The cell's states, the attention vector in a list or nothing, the attention's state."""
        cells = len(state_dims(self.cell))
        fed = cells + self.input_feeding
        return list(state[:cells]), list(state[cells:fed]), tuple(state[fed:])

    def _attend(self, query, attention_state, memory, training, noise):
        keep = ops.expand_dims(memory["mask"], 1)  # [B, 1, S]
        return self.attention.attend(
            query, memory["keys"], memory["values"], keep, attention_state, training, noise
        )

    def _advance(self, inputs, cell_state, training, masks):
        """The cell on all of its input: its output and its states."""
        inputs = [ops.cast(part, self.compute_dtype) for part in inputs]
        inputs = ops.concatenate(inputs, axis=-1)  # [B, K, D + ...]
        return step_cell(self.cell, inputs, cell_state, training, masks)

    def _attention_vector(self, context, hidden):
        if self.attention_projection is None:
            return ops.cast(context, self.compute_dtype)
        parts = [ops.cast(part, self.compute_dtype) for part in (context, hidden)]
        return rowwise(self.attention_projection, ops.concatenate(parts, axis=-1))

    def _output(self, hidden, context, vector):
        kind = self._kind_of_output()
        if kind == "both":
            parts = [ops.cast(part, self.compute_dtype) for part in (hidden, context)]
            return ops.concatenate(parts, axis=-1)
        return vector if kind == "attention" else ops.cast(hidden, self.compute_dtype)

    def _kind_of_output(self):
        return self.output_kind or ("both" if self.attention_units is None else "attention")

    def _vector_dim(self, memory_dim):
        return memory_dim if self.attention_units is None else self.attention_units

    def _output_dim(self, memory_dim):
        widths = {
            "both": hidden_dim(self.cell) + memory_dim,
            "attention": self._vector_dim(memory_dim),
            "hidden": hidden_dim(self.cell),
        }
        return widths[self._kind_of_output()]


def _check_attention(attention):
    for method in ("project_memory", "attend", "initial_attention_state", "draw_noise"):
        if isinstance(attention, type) or not hasattr(attention, method):
            raise ValueError(
                f"`attention` must have a method `{method}`. Expected a layer such as BahdanauAttention. "
                f"Received: attention={attention}. Derive your own from keras_attn.layers.StepAttention."
            )


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"`{name}` is unknown. Expected one of {choices}. Received: {name}={value!r}.")
