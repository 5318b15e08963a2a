"""Does padding change what a model says? Pads more, runs again, and names the layer where it begins."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter

import keras
import numpy as np
from keras import ops

from keras_attn.checks.lost_masks import find_lost_mask, node_of
from keras_attn.typing import Nested

# By how much the first length, the second, ... grow: more than the reach of a usual convolution.
_GROWTH = (7, 11, 13, 17, 19, 23)


@dataclass(frozen=True)
class PaddingReport:
    """Findings of `check_padding_invariance`.

    Attributes:
        passed: whether the outputs stay what they were.
        layer: name of the first layer or operation whose output changes; None where none does, and where
            the model is not functional and so cannot be looked into.
        layer_type: its class.
        largest_change: of the outputs, as a share of their largest value (of 1 where that is smaller).
        mask_lost_at: name of the operation where Keras' implicit mask got lost, if it did.
    """

    passed: bool
    layer: str | None
    layer_type: str | None
    largest_change: float
    mask_lost_at: str | None

    def __str__(self):
        if self.passed:
            return "More padding changes nothing."
        where = (
            f"It begins at layer {self.layer!r} ({self.layer_type})."
            if self.layer
            else "The model is not functional, so the layer is not known."
        )
        lost = f" The implicit mask got lost at {self.mask_lost_at!r}." if self.mask_lost_at else ""
        return f"More padding changes the outputs by {self.largest_change:.2g} of their size. {where}{lost}"


def check_padding_invariance(
    model: Callable[..., Nested],
    inputs: Nested,
    *,
    pad_id: int = 0,
    tolerance: float = 1e-4,
    raise_on_change: bool = False,
) -> PaddingReport:
    """Pads the inputs of a model more and compares what comes out, layer by layer.

    Every axis that the model declares of unknown length (`keras.Input((None,))`) grows at its end: ids by
    `pad_id`, boolean masks by False, features by 0, or by 1 where a mask comes along, since what a mask hides
    must not count. The two runs are compared where both have values and the shorter input has content:
    `ids != pad_id`, the boolean mask, or features that are not all 0. Axes that follow no input in length,
    such as those of strided convolutions, are compared as far as both reach.

    Args:
        model: a functional or sequential model of any origin, run with `training=False`; or any callable on
            `inputs`, of which only the outputs are compared.
        inputs: one batch as the model takes it: an array, or a list or dictionary of arrays. Best with rows
            of different lengths, one of them without padding.
        pad_id: the id that pads.
        tolerance: the largest change that counts as rounding, as a share of a tensor's largest value.
        raise_on_change: raise instead of returning a report that has not passed.

    Returns:
        A `PaddingReport`.

    Raises:
        ValueError: if no input has an axis of unknown length, or, with `raise_on_change`, on a change.

    Example:

    >>> import keras, numpy as np
    >>> from keras_attn.checks.padding_invariance import check_padding_invariance
    >>> ids = keras.Input((None,), dtype="int32")
    >>> embedded = keras.layers.Embedding(5, 3, mask_zero=True)(ids)
    >>> pooled = keras.layers.GlobalAveragePooling1D(name="pooling")(embedded)
    >>> check_padding_invariance(keras.Model(ids, pooled), np.array([[1, 2, 3], [4, 0, 0]])).passed
    True
    >>> dropped = keras.layers.GlobalAveragePooling1D(name="pooling")(embedded * 2.0)
    >>> print(check_padding_invariance(keras.Model(ids, dropped), np.array([[1, 2, 3], [4, 0, 0]])).layer)
    pooling
    """
    before = _named_arrays(model, inputs)
    padding = _Padding(before, _unknown_lengths(model, before), pad_id)
    after = {name: padding.grown(name) for name in before}
    nodes = _nodes_in_order(model)
    tensors = [tensor for node in nodes for tensor in node.output_tensors]
    pairs = zip(*(_run(model, inputs, arrays, tensors) for arrays in (before, after)), strict=True)
    changes = [padding.change(*pair) for pair in pairs]
    inner, outputs = dict(zip(map(id, tensors), changes, strict=False)), changes[len(tensors) :]
    report = _report(model, nodes, inner, max(outputs), tolerance)
    if raise_on_change and not report.passed:
        raise ValueError(
            f"{report} Expected the outputs to stay as they are. Received: model={model}. Pass the padding "
            "mask to that layer, or use one that honours it, such as GatedConvolution in the place of Conv1D."
        )
    return report


class _Padding:
    """Which places are content, before and after every unknown length has grown."""

    def __init__(self, arrays, axes, pad_id):
        self.arrays, self.axes, self.pad_id = arrays, axes, pad_id
        lengths = sorted({arrays[name].shape[axis] for name in axes for axis in axes[name]})
        self.growth = dict(zip(lengths, itertools.cycle(_GROWTH), strict=False))
        self.masked = {x.shape[1] for x in arrays.values() if x.dtype == bool and x.ndim == 2}
        self.keep = {length: self._content(length) for length in lengths}

    def grown(self, name):
        """One input with more padding at the end of every axis of unknown length."""
        array, axes = self.arrays[name], self.axes[name]
        if array.dtype.kind == "f":
            # What a mask hides must not count, so let there be something to count.
            filler = 1.0 if any(array.shape[axis] in self.masked for axis in axes) else 0.0
        else:
            filler = False if array.dtype == bool else self.pad_id
        widths = [(0, self.growth[n] if axis in axes else 0) for axis, n in enumerate(array.shape)]
        return np.pad(array, widths, constant_values=filler)

    def change(self, before, after):
        """The largest difference where both have content, as a share of the largest value there."""
        if before.ndim != after.ndim:
            return float("inf")
        compared = np.ones([min(sizes) for sizes in zip(before.shape, after.shape, strict=True)], bool)
        for axis, (n, longer) in enumerate(zip(before.shape, after.shape, strict=True)):
            if axis and n in self.growth and longer == n + self.growth[n]:
                keep = self.keep[n] if before.shape[0] == len(self.keep[n]) else self.keep[n].any(0)[None]
                between = (1,) * (axis - 1), (1,) * (before.ndim - axis - 1)
                compared &= keep.reshape(len(keep), *between[0], n, *between[1])
        overlap = tuple(slice(n) for n in compared.shape)
        before, after = before[overlap][compared], after[overlap][compared]
        if np.array_equal(before, after, equal_nan=True):
            return 0.0
        difference = np.max(np.abs(before - after)) / max(1.0, np.max(np.abs(before)))
        return float(difference) if np.isfinite(difference) else float("inf")

    def _content(self, length):
        """`[B, length]`: where every input of that length has content."""
        keep = True
        for name, array in self.arrays.items():
            if 1 in self.axes[name] and array.shape[1] == length:
                keep = keep & self._content_of(array, length)
        batch_size = len(next(iter(self.arrays.values())))
        return np.broadcast_to(keep, (batch_size, length))

    def _content_of(self, array, length):
        if array.ndim == 2 and array.dtype.kind in "iub":
            return array if array.dtype == bool else array != self.pad_id
        if array.ndim == 3 and array.dtype.kind == "f" and length not in self.masked:
            return (array != 0).any(-1)
        return np.bool_(True)


def _named_arrays(model, inputs):
    """The inputs by name where the model names them, else by number."""
    arrays = [np.asarray(x) for x in keras.tree.flatten(inputs)]
    if isinstance(inputs, dict):
        return dict(zip(sorted(inputs), arrays, strict=True))
    names = [symbol.name for symbol in _symbols(model, "inputs")] or range(len(arrays))
    return dict(zip(names, arrays, strict=True))


def _unknown_lengths(model, arrays):
    """By input, the axes that may grow: those declared as None; without a declaration, axis 1."""
    declared = {symbol.name: symbol.shape for symbol in _symbols(model, "inputs")}
    axes = {}
    for name, array in arrays.items():
        shape = declared.get(name, (None, None, *array.shape[2:]))
        axes[name] = [axis for axis in range(1, array.ndim) if shape[axis] is None]
    if not any(axes.values()):
        raise ValueError(
            "No input of the model can be padded. Expected an axis of unknown length, as in "
            f"`keras.Input((None,))`. Received inputs of the shapes {declared}. Build the model with "
            "None for the length."
        )
    return axes


def _symbols(model, which):
    """The symbolic inputs or outputs of a functional model; none of any other."""
    return getattr(model, which, None) or []


def _nodes_in_order(model):
    """Every call in a functional model, in an order in which they can be run."""
    graph, waiting = {}, [node_of(tensor) for tensor in _symbols(model, "outputs")]
    while waiting:
        node = waiting.pop()
        if node not in graph:
            graph[node] = node.parent_nodes
            waiting.extend(node.parent_nodes)
    return list(TopologicalSorter(graph).static_order())


def _run(model, inputs, arrays, tensors):
    """Values of the inner tensors and of the outputs, flat."""
    if tensors:
        probe = keras.Model(model.inputs, [*tensors, *model.outputs])
        outputs = probe([arrays[symbol.name] for symbol in model.inputs], training=False)
    else:
        given = keras.tree.pack_sequence_as(inputs, list(arrays.values()))
        outputs = model(given, training=False) if isinstance(model, keras.Layer) else model(given)
    values = [ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]
    return [x.astype("float64") for x in values]


def _report(model, nodes, changes, largest_change, tolerance):
    """Blames the first changed node from which changes alone lead to the outputs."""
    changed = {node for node in nodes if any(changes[id(x)] > tolerance for x in node.output_tensors)}
    guilty, waiting = set(), [node_of(tensor) for tensor in _symbols(model, "outputs")]
    while waiting:
        node = waiting.pop()
        if node in changed and node not in guilty:
            guilty.add(node)
            waiting.extend(node.parent_nodes)
    first = next((node.operation for node in nodes if node in guilty), None)
    losers = (find_lost_mask(tensor) for node in nodes for tensor in node.output_tensors)
    loser = next((operation for operation in losers if operation is not None), None)
    passed = largest_change <= tolerance
    return PaddingReport(
        passed=passed,
        layer=None if passed or first is None else first.name,
        layer_type=None if passed or first is None else type(first).__name__,
        largest_change=largest_change,
        mask_lost_at=None if loser is None else loser.name,
    )
