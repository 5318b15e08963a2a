"""A model to deploy, and the figures that follow from its size."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from google.protobuf import text_format

from keras_attn.serving.protos.text_format import message_type

IMAGE = "tensorflow/serving:2.20.0"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_LABEL = 63
_LONGEST_SUFFIX = len("-tensorflow-serving")
_MEBIBYTE, _GIBIBYTE = 2**20, 2**30
# The server itself (ours takes 774 MB with nothing loaded), and room for the tensors of a full batch.
_BASE_MEMORY = _GIBIBYTE
# Bytes of memory for a byte of a version. Almost all of it is the graph, which is built anew for every
# signature; weights inside the graph are copied with it. Measured with our server on TensorFlow 2.21 on
# 2026-11-27: the peak while a version replaces another, both warmed up, over the server alone. A GRU with
# 2.3 MB of graph: 333 MB. Transformers with 3.2 and 8.2 MB: 451 and 986 MB. Packed ones with 4.0 MB and 16 MB
# of weights, 3.7 MB and 32 MB: 1,462 and 2,519 MB (2026-11-28). These factors give 5 to 35 % more.
_MEMORY_OF_GRAPH = 150
_MEMORY_OF_CONSTANTS = 65
_MEMORY_OF_OTHER_FILES = 4  # weights beside the graph, each for a while with a copy of what is read
_VERSIONS_ON_DISK = 8


@dataclass(frozen=True)
class Target:
    """A served model and the machines it is to run on.

    Args:
        model_name: in requests; letters, digits, `.`, `_` and `-`.
        base_path: absolute path of the folder that holds the versions, on the machine that runs Compose.
        num_bytes: size of one version on disk.
        graph_bytes: of its graph in `saved_model.pb`; twice that where batches form in the graph.
        constant_bytes: of the weights in `saved_model.pb`, which only packed exports have there.
        batching: text of a `BatchingParameters`.
        image: of the server.
        cpus: cores of one server.
        storage_uri: where KServe finds the versions; those on the claim of the Kubernetes files when empty.

    Raises:
        ValueError: for a name that no URL or Kubernetes object can have, settings that are none, and fewer
            than one core.
    """

    model_name: str
    base_path: str
    num_bytes: int
    batching: str
    image: str = IMAGE
    cpus: int = 2
    storage_uri: str = ""
    graph_bytes: int = field(kw_only=True)
    constant_bytes: int = field(kw_only=True, default=0)

    def __post_init__(self):
        if not _NAME.fullmatch(self.model_name) or not self._fits_a_label():
            raise ValueError(
                "`model_name` cannot stand in a URL and in the names of Kubernetes. Expected letters, digits "
                f"and '.', '_', '-', at most {_LONGEST_LABEL - _LONGEST_SUFFIX}, a letter or digit first. "
                f"Received: model_name={self.model_name!r}. Give another name."
            )
        if self.cpus < 1:
            raise ValueError(f"`cpus` must be at least 1. Received: cpus={self.cpus}.")
        try:
            text_format.Parse(self.batching, message_type("BatchingParameters")())
        except text_format.ParseError as error:
            raise ValueError(f"`batching` is no text of a BatchingParameters: {error}.") from error

    def _fits_a_label(self) -> bool:
        return 0 < len(self.service_name) <= _LONGEST_LABEL - _LONGEST_SUFFIX

    @property
    def service_name(self) -> str:
        """The name of the Kubernetes objects: lower case, a letter first, `-` for what they cannot have."""
        name = re.sub(r"[^a-z0-9]+", "-", self.model_name.lower()).strip("-")
        return f"m-{name}" if name[:1].isdecimal() else name

    @property
    def batching_parameters(self) -> str:
        """The settings with as many threads as there are cores: by default it would be those of the host."""
        parameters = text_format.Parse(self.batching, message_type("BatchingParameters")())
        parameters.num_batch_threads.value = self.cpus
        return text_format.MessageToString(parameters)

    @property
    def num_threads(self) -> int:
        """Requests that may wait at once: two batches full, since each waiting request holds a thread."""
        parameters = text_format.Parse(self.batching, message_type("BatchingParameters")())
        return max(2 * (parameters.max_batch_size.value or 1), 4 * self.cpus)

    @property
    def memory_mib(self) -> int:
        """Memory of one server in MiB while a version replaces another, both of this size.

        A figure to begin with, to be set by what it is seen to use: it follows from the size of the graph and
        from what our own server was seen to take, not the stock one.
        """
        other = max(0, self.num_bytes - self.graph_bytes - self.constant_bytes)
        needed = (
            _BASE_MEMORY
            + _MEMORY_OF_GRAPH * self.graph_bytes
            + _MEMORY_OF_CONSTANTS * self.constant_bytes
            + _MEMORY_OF_OTHER_FILES * other
        )
        return 256 * -(-needed // (256 * _MEBIBYTE))

    @property
    def storage_gib(self) -> int:
        """Room for some versions, in GiB."""
        return -(-_VERSIONS_ON_DISK * self.num_bytes // _GIBIBYTE) or 1
