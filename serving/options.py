"""What a server can be told, under the names of TensorFlow Serving's flags."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def _threads() -> int:
    return 4 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Options:
    """Settings of a server; each is a flag of the same name."""

    port: int = field(default=8500, metadata={"help": "TCP port for gRPC"})
    rest_api_port: int = field(default=0, metadata={"help": "TCP port for REST; 0 switches REST off"})
    rest_api_num_threads: int = field(
        default_factory=_threads, metadata={"help": "REST requests that may run at once"}
    )
    rest_api_timeout_in_ms: int = field(
        default=30000, metadata={"help": "limit of a model run over REST in milliseconds; 0: none"}
    )
    grpc_max_threads: int = field(
        default_factory=_threads, metadata={"help": "gRPC calls that may run at once"}
    )
    model_name: str = field(default="default", metadata={"help": "name of the model in requests"})
    model_base_path: str = field(
        default="", metadata={"help": "absolute path of a directory with a SavedModel in each of 1, 2, ..."}
    )
    file_system_poll_wait_seconds: int = field(
        default=1,
        metadata={"help": "seconds between two looks for new versions; 0: look once; negative: never"},
    )
    tensorflow_intra_op_parallelism: int = field(
        default=0, metadata={"help": "threads one op may use; 0: one"}
    )
    tensorflow_inter_op_parallelism: int = field(
        default=0, metadata={"help": "ops that may run at once over all requests; 0: one for each core"}
    )
