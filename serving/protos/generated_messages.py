"""Protobuf messages of TensorFlow and of its serving API without the import of TensorFlow.

Their generated modules lie inside the package `tensorflow`, or import modules that do, and whoever imports
one runs `tensorflow/__init__.py`: four seconds for a message that carries one text. Each holds its descriptor
as a constant. It is read from the source, and registered in the pool in which the module itself would
register it: the classes are the same, whichever comes first.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from google.protobuf import descriptor, descriptor_pool, message_factory

_NEEDS_NO_TENSORFLOW = "google"


@cache
def generated(module: str) -> SimpleNamespace:
    """Returns what a generated module defines: message classes, enum values and `DESCRIPTOR`.

    Args:
        module: its full name, e.g. `tensorflow.core.framework.tensor_pb2`.

    Returns:
        message name -> class, enum value -> number, `DESCRIPTOR` -> that of the file.

    Raises:
        ModuleNotFoundError: the package is not installed, or has no such module.
    """
    file = _registered(module)
    names: dict[str, object] = {"DESCRIPTOR": file}
    for name, message in file.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(message)
    for enum in file.enum_types_by_name.values():
        names.update({value.name: value.number for value in enum.values})
    return SimpleNamespace(**names)


@cache
def _registered(module: str) -> descriptor.FileDescriptor:
    """The descriptor of a generated module, after those of the modules that it imports."""
    if module.partition(".")[0] == _NEEDS_NO_TENSORFLOW:
        return importlib.import_module(module).DESCRIPTOR
    tree = ast.parse(_source(module))
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            for name in _generated_among(statement):
                _registered(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return descriptor_pool.Default().AddSerializedFile(ast.literal_eval(node.args[0]))
    raise ModuleNotFoundError(f"{module} holds no descriptor. Expected a module of protoc.", name=module)


def _source(module: str) -> str:
    package, *parts = module.split(".")
    spec = find_spec(package)  # that of a package alone imports nothing
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder, *parts).with_suffix(".py")
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise ModuleNotFoundError(f"No module named {module!r}", name=module if folders else package)


def _generated_among(statement: ast.ImportFrom) -> list[str]:
    """The modules of `from a import b_pb2`, and of the public import `from a.b_pb2 import *`."""
    home = statement.module or ""
    if home.endswith("_pb2"):
        return [home]
    return [f"{home}.{alias.name}" for alias in statement.names if alias.name.endswith("_pb2")]
