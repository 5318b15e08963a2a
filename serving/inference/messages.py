"""Predict, classify, regress and multi-inference from request message to response message.

What gRPC answers and what warm-up records replay: each takes a loaded model, a request and a time limit.
"""

from __future__ import annotations

import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_attn.serving.inference.classify import Classification
from keras_attn.serving.inference.multi_inference import run_classify, run_regress, run_tasks
from keras_attn.serving.inference.predict import check_inputs, find_signature, run_predict
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE
from keras_attn.serving.protos.tensors import from_proto, to_proto


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, timeout_ms: int = 0
) -> predict_pb2.PredictResponse:
    """Runs a signature on tensors."""
    signature = find_signature(servable, request.model_spec.signature_name)
    check_inputs(signature, request.inputs)
    inputs = {alias: from_proto(alias, proto) for alias, proto in request.inputs.items()}
    outputs = run_predict(servable, signature, inputs, request.output_filter, timeout_ms)
    response = predict_pb2.PredictResponse()
    _fill_spec(response.model_spec, servable, signature.name)
    for alias, array in outputs.items():
        response.outputs[alias].CopyFrom(to_proto(array, servable.writes_tensor_content))
    return response


def classify(
    servable: Servable, request: classification_pb2.ClassificationRequest, timeout_ms: int = 0
) -> classification_pb2.ClassificationResponse:
    """Classifies examples."""
    name = request.model_spec.signature_name
    result = run_classify(servable, name, request.input, timeout_ms)
    response = classification_pb2.ClassificationResponse()
    _fill_spec(response.model_spec, servable, name)
    _fill_classification(response.result, result)
    return response


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest, timeout_ms: int = 0
) -> regression_pb2.RegressionResponse:
    """Computes one number for each example."""
    name = request.model_spec.signature_name
    values = run_regress(servable, name, request.input, timeout_ms)
    response = regression_pb2.RegressionResponse()
    _fill_spec(response.model_spec, servable, name)
    _fill_regression(response.result, values)
    return response


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, timeout_ms: int = 0
) -> inference_pb2.MultiInferenceResponse:
    """Runs several signatures over the same examples."""
    results = run_tasks(servable, request.tasks, request.input, timeout_ms)
    response = inference_pb2.MultiInferenceResponse()
    for task, result in zip(request.tasks, results, strict=True):
        entry = response.results.add()
        _fill_spec(entry.model_spec, servable, task.model_spec.signature_name)
        if isinstance(result, Classification):
            _fill_classification(entry.classification_result, result)
        else:
            _fill_regression(entry.regression_result, result)
    return response


def _fill_spec(spec: model_pb2.ModelSpec, servable: Servable, signature_name: str) -> None:
    spec.name = servable.name
    spec.version.value = servable.version
    spec.signature_name = signature_name or DEFAULT_SIGNATURE


def _fill_classification(message: classification_pb2.ClassificationResult, result: Classification) -> None:
    message.SetInParent()
    for labels, scores in result.rows():
        classes = message.classifications.add().classes
        for label, score in zip(labels, scores.tolist(), strict=True):
            # A field of type string holds UTF-8 alone.
            classes.add(label=label.decode("utf-8", "replace"), score=score)


def _fill_regression(message: regression_pb2.RegressionResult, values: np.ndarray) -> None:
    message.SetInParent()
    for value in values.tolist():
        message.regressions.add(value=value)
