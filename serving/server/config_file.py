"""The model configuration file, read at the start and, on request, again and again."""

from __future__ import annotations

import logging
import threading

from tensorflow_serving.config import model_server_config_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.manager import ModelManager
from keras_attn.serving.models.model_settings import ModelSettings, settings_of
from keras_attn.serving.protos.text_format import read_text_proto

_log = logging.getLogger("keras_attn.serving")


def read_models(path: str) -> list[ModelSettings]:
    """Reads the models that a configuration file lists.

    Args:
        path: text proto `ModelServerConfig`.

    Raises:
        ServingError: the file cannot be read, or lists something that cannot be served.
    """
    return settings_of(read_text_proto(path, model_server_config_pb2.ModelServerConfig))


class ConfigFilePoller:
    """Reads a configuration file now and again; what is wrong with it is logged, and the old list stays.

    It does not wait for the models of a new list: one that does not load must not keep the file from being
    read when it has been corrected.

    Args:
        path: the file.
        manager: whose models it lists.
        wait_seconds: pause between two looks; 0 never looks.
    """

    def __init__(self, path: str, manager: ModelManager, wait_seconds: float):
        self._path = path
        self._manager = manager
        self._wait_seconds = wait_seconds
        self._stop = threading.Event()
        self._last_problem = ""
        self._thread = threading.Thread(target=self._run, name="poll-model-config", daemon=True)

    def start(self) -> None:
        """Starts to look."""
        if self._wait_seconds > 0:
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the looking.

        Args:
            timeout_s: seconds to wait for a reload that is going on.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self._wait_seconds):
            problem = ""
            try:
                self._manager.apply(self._read())
            except ServingError as error:
                problem = str(error)
            except Exception as error:  # the next look may find a file that can be used
                problem = f"{type(error).__name__}: {error}"
            if problem and problem != self._last_problem:
                _log.error("The model config file %s was not applied: %s", self._path, problem)
            self._last_problem = problem

    def _read(self) -> list[ModelSettings]:
        """Reads the list; an empty file is none, but one that is being written, or was lost."""
        config = read_text_proto(self._path, model_server_config_pb2.ModelServerConfig, logs_errors=False)
        if config.WhichOneof("config") is None and self._manager.model_names:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Cannot transition to requested config. It is only legal to transition from one"
                " ModelConfigList to another.",
            )
        return settings_of(config)
