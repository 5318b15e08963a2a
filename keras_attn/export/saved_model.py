"""Writes a text-to-text model as a version of a TensorFlow Serving model."""

from pathlib import Path

import tensorflow as tf

from keras_attn.export.assets import write_extra_assets
from keras_attn.export.flat_graph import flatten
from keras_attn.export.packed.transformer import packed_text_to_text
from keras_attn.export.service.in_graph_batching import InGraphBatching
from keras_attn.export.service.service import Service
from keras_attn.export.service.signatures import signature_functions
from keras_attn.export.verification.backends import EagerBackend, SessionBackend
from keras_attn.export.verification.checks import (
    VerificationError,
    check_backends,
    check_graph,
    signature_definitions,
)
from keras_attn.export.verification.requests import example_texts, questions
from keras_attn.export.verification.servable_ops import check_ops
from keras_attn.export.verification.streams import check_streams
from keras_attn.export.verification.tolerance import (
    ROUGH_TOLERANCE,
    ROUGHLY_CHECKED,
    kernels_of,
    tolerance_of,
)
from keras_attn.export.versions import check_format, next_version, published
from keras_attn.text_to_text import TextToText
from keras_attn.typing import StrPath

# One that decodes and one that is told what to decode: all weights and both tokenizers take part.
_QUICKLY_CHECKED = ("stream", "score")
_MOST_CHECKED_TOKENS = 8  # that the eager model decodes, which takes it longest


def export_saved_model(
    text_to_text: TextToText,
    base_path: StrPath,
    *,
    version: int | None = None,
    beam_size: int | None = None,
    num_hypotheses: int | None = None,
    batching: InGraphBatching | None = None,
    recipe: str | None = None,
    packed: str | None = None,
) -> Path:
    """Exports a SavedModel with the tokenizer, the decoding loop and the detokenizer inside.

    ```
    serving_default  text                                    -> text, score
    n_best           text, max_length, length_penalty, target_prefix
                                                             -> text, score, log_prob, length, finished [B, N]
    sample           text, stream, temperature, top_k, top_p, seed, max_length, target_prefix
                                                             -> text, log_prob, length, finished
    stream           text, stream, max_length, target_prefix -> text, score
    stream_events    wait                                    -> stream, length, text, last
    score            text, target           -> log_prob, perplexity, length, token_log_probs, target_pieces
    align            text, target           -> source_pieces, target_pieces, alignment
    decode_ids       ids, lengths, max_length                -> ids, lengths, score, finished
    encode           text                                    -> states, lengths
    ```

    Every input and output has the batch first; `Service` describes them. What stands behind `text`, but for
    the target of `score`, may be left out where the server fills in defaults. Nothing but TensorFlow and
    tensorflow-text is needed to run it.

    Beside the graph stand `assets.extra/tf_serving_warmup_requests`, which a server replays before it
    announces the version; `batching_params.pbtxt` for its batching; and `assets.extra/keras_attn/` with
    `manifest.json` and the tokenizers.

    The version is written where no server looks, checked, and renamed: one that watches the base path never
    sees half of it, and nothing is left behind when the export fails or is interrupted.

    Args:
        text_to_text: a `keras_attn.text_to_text.TextToText`.
        base_path: the folder that holds the versions of this model.
        version: a whole number; one above the highest in `base_path` when None.
        beam_size: of `n_best`; that of the model's own beam search when None, or else 4.
        num_hypotheses: N of `n_best`; `beam_size` when None.
        batching: an `InGraphBatching`, to join concurrent requests inside the graph; None for no such thing.
        recipe: text of the recipe that the model was trained by; it goes into the manifest.
        packed: `"float32"` or `"bfloat16"`, to write a `TransformerSeq2Seq` as a `PackedTransformer`: faster,
            with float32 outputs either way; None for the model as it is.

    Returns:
        The path of the new version.

    Raises:
        BasePathError: if the version is there already, or versions of another format are.
        VerificationError: if a Session on the written graph does not answer like the model itself.
        UnservableOpError: if the graph holds an op that TensorFlow Serving does not run.
        ValueError: for sizes that no beam search has, and a model that cannot be packed.
    """
    check_format(base_path, "saved_model.pb")
    unpacked = text_to_text
    if packed is not None:
        text_to_text = packed_text_to_text(text_to_text, packed)
    service = Service(text_to_text, beam_size=beam_size, num_hypotheses=num_hypotheses)
    version = next_version(base_path) if version is None else version
    with published(base_path, version) as (temporary, final):
        signatures = signature_functions(service, batching)
        module = _servable(text_to_text, signatures.values())
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        check_ops(temporary)  # before anything is run
        flatten(temporary)
        _check_answers(temporary, service, unpacked, rough=packed == "bfloat16")
        notes = {"recipe": recipe, "packed": packed, "kernels": kernels_of(unpacked.model)}
        write_extra_assets(temporary, service, batching, notes)
    return final


def _check_answers(folder, service, unpacked, rough):
    """The quick part of `keras-attn verify`: what goes in and out, a Session, and a stream against itself."""
    inner = service.text_to_text
    texts = example_texts(inner.source_tokenizer, inner.max_source_length, lengths=(5,))
    tokenizers = inner.source_tokenizer, inner.target_tokenizer
    asked = questions(texts, texts[::-1], tokenizers, min(inner.max_length, _MOST_CHECKED_TOKENS))
    session = SessionBackend(folder, optimizes=False)
    try:
        backends, batches = [EagerBackend(service), session], [list(range(len(texts)))]
        names = ROUGHLY_CHECKED if rough else _QUICKLY_CHECKED
        tolerance = ROUGH_TOLERANCE if rough else tolerance_of(unpacked, texts)
        definitions = signature_definitions(folder)
        requests = {name: asked[name] for name in names if name in definitions}
        checks = [*check_graph(folder), *check_backends(backends, requests, batches, tolerance)[1:]]
        if "stream" in definitions:
            checks.append(check_streams(session, texts[-1:], tolerance, rough))
    finally:
        session.close()
    problems = [f"{check.name}: {problem}" for check in checks for problem in check.problems]
    if problems:
        raise VerificationError(
            f"The export is not what it should be. {'; '.join(problems)}. Expected {tolerance}."
        )


def _servable(text_to_text, functions):
    """The module that is saved: it tracks the variables of the graphs and the tokenizers, not the model.

    A `tf.Module` that holds a Keras 3 model saves copies of its variables, and TensorFlow Serving does not
    find the ones that the functions captured (tensorflow issue 72963).
    """
    module = tf.Module()
    found = {}
    for function in functions:
        for variable in function.get_concrete_function().graph.variables:
            found.setdefault(id(variable), variable)
    module.weights = list(found.values())
    module.tokenizers = [text_to_text.source_tokenizer, text_to_text.target_tokenizer]
    return module
