"""All models of a server, found by name and version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.version_state import VersionStatus


@dataclass(frozen=True)
class ModelSpec:
    """The model, version and signature that a request names.

    Args:
        name: model name.
        version: version number; None means the latest available.
        label: version label, an alternative to `version`.
        signature_name: signature; empty means `serving_default`.
    """

    name: str
    version: int | None = None
    label: str = ""
    signature_name: str = ""


class Registry:
    """The models of a server, found by name, version and label.

    Args:
        models: the served models, each with a name of its own.
    """

    def __init__(self, models: Iterable[ServedModel] = ()):
        self._models = {model.name: model for model in models}
        self._labels: Mapping[str, Mapping[str, int]] = {}

    @property
    def models(self) -> list[ServedModel]:
        """The models that are served or once were."""
        return list(self._models.values())

    def find(self, name: str) -> ServedModel | None:
        """Returns a model, or None if there never was one of that name."""
        return self._models.get(name)

    def add(self, model: ServedModel) -> None:
        """Adds a model; one whose name is taken is replaced."""
        self._models = {**self._models, model.name: model}

    @property
    def labels(self) -> Mapping[str, Mapping[str, int]]:
        """model name -> label -> version."""
        return self._labels

    def set_labels(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """Replaces all labels at once."""
        self._labels = labels

    @contextlib.contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Servable]:
        """Lends the servable that a spec names, for the length of the block.

        Raises:
            ServingError: NOT_FOUND for an unknown model or version, INVALID_ARGUMENT for an unknown label.
        """
        version = spec.version
        if spec.label:
            version = self._labels.get(spec.name, {}).get(spec.label)
            if version is None:
                raise invalid(f"Unrecognized servable version label: {spec.label}")
        model = self._models.get(spec.name)
        with model.use(version) if model else contextlib.nullcontext() as servable:
            if servable is None:
                wanted = f"Latest({spec.name})"
                if version is not None:
                    wanted = f"Specific({spec.name}, {version})"
                raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
            yield servable

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """Returns the status of one version, or of all versions newest first.

        Raises:
            ServingError: NOT_FOUND if there is none.
        """
        model = self._models.get(spec.name)
        known = model.statuses() if model else []
        if spec.version is not None:
            known = [status for status in known if status.version == spec.version]
            if not known:
                raise ServingError(
                    Code.NOT_FOUND, f"Could not find version {spec.version} of model {spec.name}"
                )
        if not known:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        return known
