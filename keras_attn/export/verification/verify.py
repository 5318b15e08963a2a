"""Verification of an export: every backend gives the same answers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_attn.export.packed.transformer import packed_text_to_text
from keras_attn.export.service.service import Service
from keras_attn.export.verification.backends import EagerBackend, LoadedBackend, SessionBackend
from keras_attn.export.verification.checks import Check, batches_of, check_backends, check_graph
from keras_attn.export.verification.report import Report
from keras_attn.export.verification.requests import example_texts, load_tokenizer, questions
from keras_attn.export.verification.streams import check_streams
from keras_attn.export.verification.tolerance import (
    ROUGH_TOLERANCE,
    ROUGHLY_CHECKED,
    FixedTolerance,
    read_tolerance,
)
from keras_attn.export.version_files import read_manifest, version_folder
from keras_attn.text_to_text import TextToText
from keras_attn.typing import StrPath


def verify(
    path: StrPath,
    text_to_text: TextToText | None = None,
    *,
    texts: Sequence[bytes | str] | None = None,
    tolerance: float | None = None,
    servers: Callable[[Path], AbstractContextManager[list[Any]]] | None = None,
    progress: Callable[[str], object] = lambda step: None,
) -> Report:
    """Checks that an export gives the same answers on every backend, whatever else is in the batch.

    The backends: the model itself if given, `tf.saved_model.load`, a Session, and servers if given. Every
    signature is asked with texts from the vocabulary, short and long, and with options that change from row
    to row. The model is asked once for all texts; every other backend for all of them, for them in reverse,
    for some pairs and for some alone. Streamed text has to become the text that is answered at once. All ops
    have to be those of TensorFlow Serving.

    Args:
        path: the version, or a base path for its highest version.
        text_to_text: the `keras_attn.TextToText` that was exported; None to leave it out.
        texts: source texts, such as lines of a file; made from the vocabulary when None.
        tolerance: bound of numbers, of the larger of 1 and their own size; the bound of rounding in such a
            model when None.
        servers: a function of the version's folder that returns a context manager of further backends,
            objects with a `name` and `ask(signature, inputs)`; the first also has `follow(text)`, see
            `check_streams`. `keras-attn verify` gives one of this library's servers, over REST and over gRPC.
        progress: called with a sentence on each step.

    Returns:
        A `Report`: `report.passed`, and a table when printed.

    Raises:
        NotAnExportError: for a folder without an export of this library.
        VerificationError: for an export whose tokenizers are only in its graph.

    Example:

        report = keras_attn.export.verify("models/reverse", reverse)
        print(report)
    """
    folder = version_folder(path)
    manifest = read_manifest(folder)
    is_rough = manifest["packed"] == "bfloat16"
    bound = None if tolerance is None else FixedTolerance(tolerance)
    eager = [] if text_to_text is None else [_eager(text_to_text, manifest)]
    checks = check_graph(folder)
    with ExitStack() as stack:
        try:
            written = _written(stack, folder, manifest, servers, progress)
            requests = _requests(folder, manifest, written[0], texts)
            asked = requests["serving_default"]["text"]
            bound = bound or read_tolerance(folder, manifest, asked)
            checks += _compared(eager, written, requests, bound, is_rough, progress)
            if "stream" in manifest["signatures"]:
                for backend in written[1:3]:  # the Session and the first server
                    progress(f"{backend.name}: streams")
                    checks.append(check_streams(backend, asked, bound, is_rough))
        except (tf.errors.OpError, OSError, ValueError) as error:
            checks.append(Check("loads and answers", (str(error),)))
    return Report(
        str(folder),
        tuple(checks),
        tuple(_skipped(text_to_text, servers, is_rough)),
        bound,
        tuple(sorted(manifest["signatures"])),
        len(manifest["ops"]),
        manifest["least_server_version"],
    )


def _eager(text_to_text, manifest):
    if manifest["packed"]:
        text_to_text = packed_text_to_text(text_to_text, manifest["packed"])
    decoding = manifest["decoding"]
    return EagerBackend(
        Service(
            text_to_text, beam_size=decoding["n_best_beam_size"], num_hypotheses=decoding["num_hypotheses"]
        )
    )


def _written(stack, folder, manifest, servers, progress):
    """Backends that read the files of the version."""
    progress(f"loading {folder}: tf.saved_model.load")
    loaded = LoadedBackend(folder)
    progress(f"loading {folder}: Session")
    session = SessionBackend(folder)
    stack.callback(session.close)
    if servers is None:
        return [loaded, session]
    progress(f"loading {folder}: a server, and its warm-up")
    return [loaded, session, *stack.enter_context(servers(folder))]


def _requests(folder, manifest, backend, texts):
    tokenizers = [load_tokenizer(folder, manifest, side) for side in ("source", "target")]
    decoding = manifest["decoding"]
    texts = texts or example_texts(tokenizers[0], decoding["max_source_length"])
    texts = [tf.compat.as_bytes(text) for text in texts]
    questioned = questions(texts, texts[::-1], tokenizers, decoding["max_length"])
    answers = backend.ask("serving_default", questioned["serving_default"])["text"]
    questioned = questions(texts, list(answers[::-1]), tokenizers, decoding["max_length"])
    # What `stream_events` answers depends on what was asked before; `check_streams` asks it.
    names = set(manifest["signatures"]) - {"stream_events"}
    return {name: inputs for name, inputs in questioned.items() if name in names}


def _compared(eager, written, requests, bound, is_rough, progress):
    """A `Check` for each backend."""
    batches = batches_of(len(requests["serving_default"]["text"]))
    checks = check_backends(written if is_rough else eager + written, requests, batches, bound, progress)
    if eager and is_rough:
        scored = {name: requests[name] for name in ROUGHLY_CHECKED}
        checks += check_backends([written[0], *eager], scored, batches, ROUGH_TOLERANCE, progress)[1:]
    return checks


def _skipped(text_to_text, servers, is_rough):
    if text_to_text is None:
        yield "eager: no model was given; `text_to_text`, or --run, compares with it"
    elif is_rough:
        yield f"eager: bfloat16 is rounded elsewhere there; scores alone, {ROUGH_TOLERANCE}"
    if servers is None:
        yield "REST and gRPC: no server was given; `keras-attn verify` starts one"
