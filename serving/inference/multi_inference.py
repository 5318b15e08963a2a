"""Classify, regress and both at once, as functions of a loaded model and an `Input` message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import inference_pb2, input_pb2

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.classify import Classification, classification_of, classification_tensors
from keras_attn.serving.inference.example_inputs import serialized_examples
from keras_attn.serving.inference.regress import regression_of, regression_tensors
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD

_KIND = {CLASSIFY_METHOD: "classification", REGRESS_METHOD: "regression"}


def run_classify(
    servable: Servable, signature_name: str, message: input_pb2.Input, timeout_ms: int = 0
) -> Classification:
    """Classifies examples.

    Args:
        servable: the model version.
        signature_name: signature to run; empty means `serving_default`.
        message: the examples.
        timeout_ms: limit in milliseconds; 0 means none.

    Raises:
        ServingError: no such signature, one that is not for classification, or what the graph reported.
    """
    definition = _definition(servable, signature_name, CLASSIFY_METHOD)
    feed, outputs = classification_tensors(definition)
    examples = serialized_examples(message)
    arrays = servable.run_tensors({feed: examples}, list(outputs.values()), timeout_ms, "Classify")
    return classification_of(len(examples), {alias: arrays[name] for alias, name in outputs.items()})


def run_regress(
    servable: Servable, signature_name: str, message: input_pb2.Input, timeout_ms: int = 0
) -> np.ndarray:
    """Computes one number for each example; arguments and errors as those of `run_classify`.

    Returns:
        float32 array `[B]`.
    """
    feed, output = regression_tensors(_definition(servable, signature_name, REGRESS_METHOD))
    examples = serialized_examples(message)
    arrays = servable.run_tensors({feed: examples}, [output], timeout_ms, "Regress")
    return regression_of(len(examples), arrays[output])


def run_tasks(
    servable: Servable,
    tasks: Sequence[inference_pb2.InferenceTask],
    message: input_pb2.Input,
    timeout_ms: int = 0,
) -> list[Classification | np.ndarray]:
    """Runs several signatures over the same examples in one pass through the graph.

    Args:
        servable: the model version.
        tasks: signatures with the method to apply to each.
        message: the examples.
        timeout_ms: limit in milliseconds; 0 means none.

    Returns:
        A `Classification`, or a float32 array `[B]`, for each task.

    Raises:
        ServingError: tasks that do not go together, or what the graph reported.
    """
    plans = _plans(servable, tasks)
    examples = serialized_examples(message)
    feeds = {feed: examples for feed, _ in plans}
    fetches = sorted({name for _, outputs in plans for name in outputs.values()})
    arrays = servable.run_tensors(feeds, fetches, timeout_ms, "MultiInference")
    servable.metrics.count_examples(servable.name, len(examples))
    return [_result(len(examples), outputs, arrays) for _, outputs in plans]


def _definition(servable: Servable, name: str, method: str) -> meta_graph_pb2.SignatureDef:
    name = name or DEFAULT_SIGNATURE
    if name not in servable.signature_defs:
        raise invalid(f"No signature was found with the name: {name}")
    definition = servable.signature_defs[name]
    _check_method(servable, definition, method)
    return definition


def _check_method(servable: Servable, definition: meta_graph_pb2.SignatureDef, method: str) -> None:
    if servable.checks_method_names and definition.method_name != method:
        raise invalid(
            f"Expected {_KIND[method]} signature method_name to be {method}. Was: {definition.method_name}"
        )


def _plans(
    servable: Servable, tasks: Sequence[inference_pb2.InferenceTask]
) -> list[tuple[str, dict[str, str]]]:
    """Checks the tasks one after the other; returns what each feeds and fetches."""
    plans: dict[str, tuple[str, dict[str, str]]] = {}
    for task in tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if spec.name != tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in plans:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signature_defs:
            raise invalid(f"Requested signature not found in model graph: {name}")
        plans[name] = _plan(servable, name, task)
    return list(plans.values())


def _plan(servable: Servable, name: str, task: inference_pb2.InferenceTask) -> tuple[str, dict[str, str]]:
    """Returns the tensor to feed, and alias -> tensor to fetch."""
    definition = servable.signature_defs[name]
    if task.method_name not in _KIND:
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    _check_method(servable, definition, task.method_name)
    if task.method_name == CLASSIFY_METHOD:
        return classification_tensors(definition)
    feed, output = regression_tensors(definition)
    return feed, {"outputs": output}


def _result(
    num_examples: int, outputs: dict[str, str], arrays: dict[str, np.ndarray]
) -> Classification | np.ndarray:
    if "outputs" in outputs:
        return regression_of(num_examples, arrays[outputs["outputs"]])
    return classification_of(num_examples, {alias: arrays[name] for alias, name in outputs.items()})
