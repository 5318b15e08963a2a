"""Running one signature of one model: what every transport ends up calling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE, METHODS, Signature


def find_signature(servable: Servable, name: str) -> Signature:
    """Returns the signature that a request names; an empty name is `serving_default`.

    Raises:
        ServingError: FAILED_PRECONDITION if there is none.
    """
    name = name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    if servable.checks_method_names:
        _check_method_name(servable.signature_defs[name].method_name)
    return signature


def _check_method_name(method: str) -> None:
    if method not in METHODS:
        raise ServingError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(METHODS)}}}. Was: {method}",
        )


def run_predict(
    servable: Servable,
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
    timeout_ms: int = 0,
) -> dict[str, np.ndarray]:
    """Checks a request against the signature and runs it.

    Args:
        servable: the model version.
        signature: the signature to run.
        inputs: input name -> array.
        output_filter: output names to compute; empty means all.
        timeout_ms: limit in milliseconds; 0 means none.

    Returns:
        output name -> array.

    Raises:
        ServingError: names do not fit the signature, or what the graph reported.
    """
    check_inputs(signature, inputs)
    outputs = _checked_outputs(signature, output_filter)
    return servable.run(signature, inputs, outputs, timeout_ms)


def check_inputs(signature: Signature, inputs: Iterable[str]) -> None:
    """Checks the names of a request's inputs.

    Raises:
        ServingError: one is missing, or one too many.
    """
    _check_number_of_inputs(signature, set(inputs))
    _check_input_names(signature, set(inputs))


def _check_number_of_inputs(signature: Signature, inputs: set[str]) -> None:
    given, expected = len(inputs), len(signature.inputs)
    if given == expected or (given < expected and signature.defaults):
        return
    raise invalid(
        f"input size does not match signature: {given}!={expected} len({_names(inputs)}) !="
        f" len({_names(signature.inputs)}). Sent extra: {_names(inputs - set(signature.inputs))}."
        f" Missing but required: {_names(set(signature.inputs) - inputs)}."
    )


def _check_input_names(signature: Signature, inputs: set[str]) -> None:
    defaults = ",".join(sorted(signature.defaults))
    for alias in sorted(signature.inputs):
        if alias not in inputs and alias not in signature.defaults:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor_name}) not found"
                f" in request and no default value provided. Inputs expected to be in the request"
                f" {_names(signature.inputs)}, or default input alias set: {defaults}"
            )
    unknown = sorted(inputs - set(signature.inputs))
    if unknown:
        raise invalid(
            f"input tensor alias not found in signature: {unknown[0]}. Inputs expected to be in the set"
            f" {_names(signature.inputs)}."
        )


def _checked_outputs(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    for position, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set"
                f" {_names(signature.outputs)}."
            )
        if alias in output_filter[:position]:
            raise invalid(f"duplicate output tensor alias: {alias}")
    return list(output_filter) or sorted(signature.outputs)


def _names(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
