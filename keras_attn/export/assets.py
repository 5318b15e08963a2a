"""Files of an export beside the SavedModel: manifest, tokenizers, warm-up requests, batching settings."""

import json
from pathlib import Path

from keras_attn.export.manifest import make_manifest
from keras_attn.export.version_files import BATCHING_PATH, EXTRA_PATH, MANIFEST_PATH
from keras_attn.export.warmup import warmup_requests, write_warmup_requests

_MAX_ROWS = 64  # of a request where requests are joined; the README starts a server with the same limit


def write_extra_assets(folder, service, batching, notes):
    """Writes all of them.

    Args:
        folder: the folder of the version, with its `saved_model.pb`.
        service: the `Service` that was exported.
        batching: the `InGraphBatching` that it was exported with, or None.
        notes: a dictionary of what else the manifest is to say.
    """
    folder = Path(folder)
    (folder / EXTRA_PATH).mkdir(parents=True)
    tokenizers = _save_tokenizers(folder / EXTRA_PATH, service.text_to_text)
    requests = warmup_requests(service)
    write_warmup_requests(folder, requests)
    (folder / BATCHING_PATH).write_text(batching_parameters(batching), encoding="utf-8")
    manifest = make_manifest(folder, service, batching) | {
        **notes,
        "tokenizers": tokenizers,
        "warmup_requests": len(requests),
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST_PATH).write_text(text + "\n", encoding="utf-8")


def batching_parameters(batching):
    """Settings of the server's own batching, text of a `BatchingParameters`.

    Ids are masked by their lengths, so that requests may be padded to be joined. A run costs the same for any
    number of rows that it is not asked for, so there are no fixed sizes. No request is split, for its parts
    might be answered in different lengths: the stock server copies them into each other, or aborts. So a
    batch holds the largest request. Where batches form in the graph already, the server is told not to wait
    for more.
    """
    size, wait = (_MAX_ROWS, 2000) if batching is None else (max(_MAX_ROWS, batching.max_batch_size), 0)
    return "\n".join(
        [
            f"max_batch_size {{ value: {size} }}",
            f"batch_timeout_micros {{ value: {wait} }}",
            "max_enqueued_batches { value: 100 }",
            "enable_large_batch_splitting { value: false }",
            "pad_variable_length_inputs: true",
            "",
        ]
    )


def _save_tokenizers(folder, text_to_text):
    """Saves both, where they can be, and returns what the manifest says of them, by side."""
    found = {}
    for side in ("source", "target"):
        tokenizer = getattr(text_to_text, f"{side}_tokenizer")
        if hasattr(tokenizer, "save"):  # the protocol asks for none: the graph is what serves
            tokenizer.save(folder / side)
        found[side] = {
            "file": next((path.name for path in folder.glob(f"{side}.*")), None),
            "kind": getattr(tokenizer, "kind", type(tokenizer).__name__),
            "vocabulary_size": tokenizer.vocabulary_size,
        }
    return found
