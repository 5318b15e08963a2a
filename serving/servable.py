"""One loaded version of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .errors import Code, ServingError
from .session import GraphSession
from .signatures import Signature, read_signature


@dataclass(frozen=True)
class SessionSettings:
    """How sessions of loaded models use the processor.

    Args:
        intra_op_threads: threads one op may use; 1 keeps concurrent requests off each other's cores.
        inter_op_threads: ops that may run at once; 0 lets TensorFlow choose.
    """

    intra_op_threads: int = 1
    inter_op_threads: int = 0


class Servable:
    """A model version that answers requests.

    Args:
        name: model name.
        version: version number.
        session: the loaded graph.
    """

    def __init__(self, name: str, version: int, session: GraphSession):
        self.name = name
        self.version = version
        self._session = session
        self.signature_defs = session.meta_graph.signature_def
        self.signatures = {key: read_signature(key, value) for key, value in self.signature_defs.items()}

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int = 0,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: one of `self.signatures`.
            inputs: input name -> array; all that have no default must be there.
            outputs: output names to compute.
            timeout_ms: limit in milliseconds; 0 means none.

        Returns:
            output name -> array, in the order of `outputs`.

        Raises:
            ServingError: what the graph reported.
        """
        values = {**signature.defaults, **inputs}
        feeds = {signature.inputs[alias].tensor_name: array for alias, array in values.items()}
        fetches = [signature.outputs[alias].tensor_name for alias in outputs]
        return dict(zip(outputs, self._session.run(feeds, fetches, timeout_ms), strict=True))

    def close(self) -> None:
        """Frees the graph and its variables."""
        self._session.close()


class Loader(Protocol):
    """Makes a servable from a version directory; tests put a fake in its place."""

    def __call__(self, name: str, version: int, directory: str) -> Servable:
        """Loads `directory` or raises `ServingError`."""
        ...


def saved_model_loader(settings: SessionSettings) -> Loader:
    """Returns the loader of SavedModel directories.

    Args:
        settings: thread counts of the sessions it makes.
    """

    def load(name: str, version: int, directory: str) -> Servable:
        try:
            session = GraphSession(
                directory,
                intra_op_threads=settings.intra_op_threads,
                inter_op_threads=settings.inter_op_threads,
            )
            return Servable(name, version, session)
        except ServingError:
            raise
        except Exception as error:  # whatever a broken model does, the served version must stay
            raise ServingError(Code.UNKNOWN, f"{type(error).__name__}: {error}") from error

    return load
