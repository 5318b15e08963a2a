"""Settings of each model, from flags, a configuration file or a reload request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

from keras_attn.serving.errors import invalid
from keras_attn.serving.models.version_policy import (
    AllVersions,
    LatestVersions,
    SpecificVersions,
    VersionPolicy,
)

PLATFORM = "tensorflow"
_Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy


@dataclass(frozen=True)
class ModelSettings:
    """One model.

    Args:
        name: name of the model in requests.
        base_path: absolute path of the directory that holds the versions.
        policy: which versions to serve.
        labels: label -> version number.
        platform: kind of model; `tensorflow` is the only one.
    """

    name: str
    base_path: str
    policy: VersionPolicy = field(default_factory=LatestVersions)
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = PLATFORM


def settings_of(config: model_server_config_pb2.ModelServerConfig) -> list[ModelSettings]:
    """Reads a configuration message.

    Raises:
        ServingError: it is of a kind that cannot be served, or a model is described wrongly.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("custom_model_config is not supported. Expected model_config_list.")
    return [
        ModelSettings(
            name=model.name,
            base_path=model.base_path,
            policy=_policy(model.model_version_policy),
            labels=dict(model.version_labels),
            platform=_platform(model),
        )
        for model in config.model_config_list.config
    ]


def check_models(models: Iterable[ModelSettings], running: Mapping[str, ModelSettings]) -> None:
    """Checks a list of models before anything is done with it.

    Args:
        models: the new list.
        running: the models that are served now, by name.

    Raises:
        ServingError: INVALID_ARGUMENT for a list that cannot be served.
    """
    names = set()
    for model in models:
        if model.name in names:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        if not (model.base_path.startswith("/") or "://" in model.base_path):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI;"
                f" got base_path()={model.base_path}"
            )
        old = running.get(model.name)
        if old is not None and old.platform != model.platform:
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was {old.platform}"
                f" and new platform requested is {model.platform}"
            )
        if model.platform != PLATFORM:
            raise invalid(f"Model {model.name} requests unsupported platform {model.platform}")


def _policy(message: _Policy) -> VersionPolicy:
    choice = message.WhichOneof("policy_choice")
    if choice == "all":
        return AllVersions()
    if choice == "specific":
        return SpecificVersions(frozenset(message.specific.versions))
    return LatestVersions(message.latest.num_versions or 1)


def _platform(model: model_server_config_pb2.ModelConfig) -> str:
    problem = ""
    if model.model_type and model.model_platform:
        problem = "Illegal setting both ModelServerConfig::model_type (deprecated) and model_platform."
    elif model.model_type == model_server_config_pb2.TENSORFLOW:
        return PLATFORM
    elif model.model_type:
        problem = "ModelServerConfig::model_type choice OTHER is not supported. Use model_platform."
    elif not model.model_platform:
        problem = "Illegal setting neither ModelServerConfig::model_type (deprecated) nor model_platform."
    if problem:
        raise invalid(problem)
    return model.model_platform
