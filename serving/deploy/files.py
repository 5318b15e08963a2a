"""Fills the templates in: one for Compose, one for Kubernetes, one for KServe."""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from pathlib import Path
from string import Template

from keras_attn.serving.deploy.target import Target
from keras_attn.serving.monitoring.metric_definitions import PAGE_PATH

KINDS = ("compose", "kubernetes", "kserve")
_MONITORING = f'prometheus_config {{\n  enable: true\n  path: "{PAGE_PATH}"\n}}\n'
_BATCHING_FILE, _MONITORING_FILE = "batching.pbtxt", "monitoring.pbtxt"
_CONFIG_FOLDER = "/etc/serving"
# gRPC and REST ports; those of KServe are what it looks for.
_PORTS = {"compose": (8500, 8501), "kubernetes": (8500, 8501), "kserve": (9000, 8080)}
_TIMEOUT_SECONDS = 30
# Until every proxy of a cluster has heard that a Pod is about to end.
_NOTICE_SECONDS = 10


def deployment_files(kind: str, target: Target) -> dict[str, str]:
    """The files that run a model in the stock server.

    Args:
        kind: one of `KINDS`.
        target: what runs where.

    Returns:
        Texts by file name. Compose has its two settings files beside it, the others hold them.

    Raises:
        ValueError: for another kind.

    Example:

    ```
    >>> batching = "max_batch_size { value: 32 }"
    >>> target = Target("dates", "/models/dates", 5_000_000, batching, graph_bytes=2_000_000)
    >>> sorted(deployment_files("compose", target))
    ['batching.pbtxt', 'compose.yaml', 'monitoring.pbtxt']

    ```
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` is unknown. Expected one of {list(KINDS)}. Received: kind={kind!r}.")
    template = Path(__file__).with_name(f"{kind}.yaml").read_text(encoding="utf-8")
    files = {f"{kind}.yaml": _filled(template, _values(kind, target))}
    if kind == "compose":
        files |= {_BATCHING_FILE: target.batching_parameters, _MONITORING_FILE: _MONITORING}
    return files


def _values(kind: str, target: Target) -> dict[str, object]:
    grpc_port, rest_port = _PORTS[kind]
    claim = f"{target.service_name}-versions"
    settings = target.batching_parameters + _MONITORING
    return {
        "model_name": target.model_name,
        "name": target.service_name,
        "image": json.dumps(target.image),
        "flags": "\n".join(f"- {json.dumps(flag)}" for flag in _flags(kind, target)),
        "base_path": json.dumps(target.base_path.replace("$", "$$")),  # Compose fills in $NAME
        "grpc_port": grpc_port,
        "rest_port": rest_port,
        "metrics_path": PAGE_PATH,
        "batching": target.batching_parameters.rstrip(),
        "monitoring": _MONITORING.rstrip(),
        "settings_hash": hashlib.sha256(settings.encode()).hexdigest()[:16],
        "cpus": target.cpus,
        "memory_mib": target.memory_mib,
        "storage_gib": target.storage_gib,
        "claim": claim,
        "storage_uri": json.dumps(target.storage_uri or f"pvc://{claim}/"),
        "pre_stop_seconds": _NOTICE_SECONDS + _TIMEOUT_SECONDS,
        "grace_seconds": _NOTICE_SECONDS + _TIMEOUT_SECONDS + 5,
    }


def _flags(kind: str, target: Target) -> list[str]:
    grpc_port, rest_port = _PORTS[kind]
    folder = "/mnt/models" if kind == "kserve" else f"/models/{target.model_name}"
    return [
        f"--model_name={target.model_name}",
        f"--model_base_path={folder}",
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--rest_api_timeout_in_ms={1000 * _TIMEOUT_SECONDS}",
        f"--rest_api_num_threads={target.num_threads}",
        f"--grpc_max_threads={target.num_threads}",
        "--enable_batching=true",
        f"--batching_parameters_file={_CONFIG_FOLDER}/{_BATCHING_FILE}",
        f"--monitoring_config_file={_CONFIG_FOLDER}/{_MONITORING_FILE}",
        "--enable_model_warmup=true",
        # Or a version that does not load holds up all others while it is tried again.
        "--num_load_threads=1",
        # By default as many threads as the host has cores, whatever the limit of the container.
        "--tensorflow_intra_op_parallelism=1",
        f"--tensorflow_inter_op_parallelism={target.cpus}",
    ]


def _filled(template: str, values: dict[str, object]) -> str:
    """A template with its values; one that stands alone in a line may have several, all indented alike."""
    texts = {name: str(value) for name, value in values.items()}
    lines = re.sub(
        r"^( *)\$\{(\w+)\}$",
        lambda match: textwrap.indent(texts[match[2]], match[1]).replace("$", "$$"),
        template,
        flags=re.MULTILINE,
    )
    return Template(lines).substitute(texts)
