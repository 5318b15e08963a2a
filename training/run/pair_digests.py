"""Digests of the pairs that a run began with."""

import hashlib
import json
from collections.abc import Sequence

from keras_attn.training.data.pairs import Pair
from keras_attn.training.data.split import PairsSplit
from keras_attn.training.errors import RunError
from keras_attn.training.run.run_folder import RunFolder

_NAME = "pairs.json"


def hold_pairs(run: RunFolder, corpus: PairsSplit) -> None:
    """Writes digests of the pairs that a run begins with, or checks that it continues with the same ones.

    Args:
        run: the `RunFolder`.
        corpus: its `PairsSplit`.

    Raises:
        RunError: if they have changed: parts that are held out would be others, too.
    """
    held, digests = _held(run), _digests(corpus)
    if held == digests:
        return
    if held and run.has_begun():
        changed = " and ".join(name for name, digest in digests.items() if held[name] != digest)
        raise RunError(
            f"The {changed} pairs are not those that {run.path} began with. Expected the same files. "
            "Give another --run folder, or put them back."
        )
    if held:
        run.forget()
    run.write_text(_NAME, json.dumps(digests, indent=1))


def has_changed(run: RunFolder, part: str, pairs: Sequence[Pair]) -> bool:
    """Whether the pairs of a part differ from those that the run began with; False without digests."""
    held = _held(run)
    return bool(held) and held[part] != _digest(pairs)


def _held(run):
    path = run.path / _NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _digests(corpus):
    return {name: _digest(pairs) for name, pairs in corpus._asdict().items()}


def _digest(pairs):
    hashed = hashlib.sha256()
    for pair in pairs:
        for text in pair:
            hashed.update(text.encode() + b"\0")
    return hashed.hexdigest()
