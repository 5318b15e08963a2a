"""The models of a server: start-up, reload of the configuration, labels."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable

from keras_attn.serving.caller import current_caller
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.servable import Loader
from keras_attn.serving.models.model_settings import ModelSettings, check_models
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.version_state import State
from keras_attn.serving.models.version_table import Retries
from keras_attn.serving.models.watcher import Watcher

_TICK_S = 0.1


class ModelManager:
    """Keeps a registry's models in step with a list of settings that may be replaced at any time.

    Args:
        load: makes a servable from a version directory.
        poll_wait_seconds: pause between two looks at a base path, see `Watcher`.
        retries: what happens to a version that does not load.
        allows_unavailable_labels: let labels point at versions that are not available yet, but let none move
            to such a version.
    """

    def __init__(
        self,
        load: Loader,
        poll_wait_seconds: float = 1.0,
        retries: Retries | None = None,
        allows_unavailable_labels: bool = False,
    ):
        self.registry = Registry()
        self._load = load
        self._poll_wait_seconds = poll_wait_seconds
        self._retries = retries or Retries()
        self._allows_unavailable_labels = allows_unavailable_labels
        self._settings: dict[str, ModelSettings] = {}
        self._watchers: dict[str, Watcher] = {}
        self._is_stopped = False
        self._changed = threading.Condition()
        self._reloading = threading.Lock()

    @property
    def model_names(self) -> list[str]:
        """Names of the models that are to be served now."""
        return list(self._settings)

    def reload(
        self,
        models: Iterable[ModelSettings],
        stop: threading.Event | None = None,
        timeout_s: float = math.inf,
    ) -> bool:
        """Replaces the list of models; returns when every new one has a version that answers.

        Models that are no longer listed are unloaded; those that stay go on answering. A new model without
        any version is waited for.

        Args:
            models: the models from now on.
            stop: set it to give up waiting.
            timeout_s: seconds to wait.

        Returns:
            False if the waiting was given up: `stop` was set, or the manager stopped.

        Raises:
            ServingError: the list cannot be served, and nothing was changed; UNKNOWN if a new model did not
                load; DEADLINE_EXCEEDED if it took too long; CANCELLED if the caller has left.
        """
        return self._wait(self.apply(models), stop, time.monotonic() + timeout_s)

    def apply(self, models: Iterable[ModelSettings]) -> list[str]:
        """Replaces the list of models as `reload` does, and waits for nothing.

        Returns:
            Names of the new models.

        Raises:
            ServingError: the list cannot be served, and nothing was changed.
        """
        models = list(models)
        with self._reloading:
            check_models(models, self._settings)
            labels = self._checked_labels(models)
            new = [model.name for model in models if model.name not in self._settings]
            self._settings = {model.name: model for model in models}
            self.registry.set_labels(labels)
            self._apply()
        return new

    def stop(self, timeout_s: float) -> None:
        """Ends the looking at base paths.

        Args:
            timeout_s: seconds to wait for loads that are going on.
        """
        deadline = time.monotonic() + timeout_s
        self._is_stopped = True
        self._report()
        for watcher in self._watchers.values():
            watcher.stop(0.0)
        for watcher in self._watchers.values():
            watcher.stop(max(0.0, deadline - time.monotonic()))

    def _apply(self) -> None:
        for name, watcher in self._watchers.items():
            model = self.registry.find(name)
            if name not in self._settings and not model.is_retired:
                model.configure(model.base_path, None)
                watcher.look_now()
        for name, settings in self._settings.items():
            model = self.registry.find(name)
            if model is None:
                self._add(settings)
            else:
                model.configure(settings.base_path, settings.policy)
                self._watchers[name].look_now()

    def _add(self, settings: ModelSettings) -> None:
        model = ServedModel(settings.name, settings.base_path, self._load, settings.policy, self._retries)
        self.registry.add(model)
        watcher = Watcher(model, self._poll_wait_seconds, self._report)
        self._watchers = {**self._watchers, settings.name: watcher}
        watcher.look_now()

    def _report(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _checked_labels(self, models: list[ModelSettings]) -> dict[str, dict[str, int]]:
        for model in models:
            known = self.registry.labels.get(model.name, {})
            for label, version in model.labels.items():
                may_wait = self._allows_unavailable_labels and known.get(label, version) == version
                if not may_wait and version not in self._available(model.name):
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, which is not"
                        " currently available for inference",
                    )
        return {model.name: dict(model.labels) for model in models if model.labels}

    def _available(self, name: str) -> set[int]:
        model = self.registry.find(name)
        statuses = model.statuses() if model else []
        return {status.version for status in statuses if status.state is State.AVAILABLE}

    def _wait(self, names: list[str], stop: threading.Event | None, deadline: float) -> bool:
        with self._changed:
            while False in [self._is_ready(name) for name in names]:  # all: one of them may have failed
                if self._is_stopped or (stop is not None and stop.is_set()):
                    return False
                current_caller().check()
                if time.monotonic() >= deadline:
                    what = f"models {names} did not become available in time; they are loaded all the same"
                    raise ServingError(Code.DEADLINE_EXCEEDED, what)
                self._changed.wait(_TICK_S)
        return True

    def _is_ready(self, name: str) -> bool:
        if name not in self._settings or self._available(name):
            return True  # another reload may have taken it off the list
        statuses = self.registry.find(name).statuses()
        failed = [s for s in statuses if s.code not in (Code.OK, Code.CANCELLED)]
        if failed and not any(status.state is State.LOADING for status in statuses):
            reasons = "".join(
                f"{{{{name: {name} version: {status.version}}} due to error:"
                f" {status.code.name}: {status.message}}}, "
                for status in failed
            )
            what = f"{len(failed)} servable(s) did not become available: {{{reasons}}}"
            raise ServingError(Code.UNKNOWN, what)
        if self._poll_wait_seconds <= 0 and not statuses and self._watchers[name].num_rounds:
            raise ServingError(
                Code.NOT_FOUND,
                f"no version of model {name} was found, and polling is off. Set"
                " --file_system_poll_wait_seconds to 1 or more to wait for one.",
            )
        return False
