"""Protobuf messages that no installed package carries, built when they are first used."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message,
    message_factory,
    wrappers_pb2,
)

_KNOWN = (any_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR)
_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    name: getattr(_FIELD, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "bool", "int32", "int64", "uint32", "uint64")
}


def build_messages(
    package: str,
    layouts: Mapping[str, Mapping[str, tuple[int, str]]],
    services: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
) -> dict[str, type[message.Message]]:
    """Builds messages in a pool of their own, beside whatever other packages register.

    Args:
        package: name of the protobuf package.
        layouts: message -> field -> number and type: `bool`, `.google.protobuf.Any`, `repeated int64` ...
        services: service -> method -> its request's and its answer's message; None means no service.

    Returns:
        message -> its class; the services are in `DESCRIPTOR.file` of each.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3", dependency=[known.name for known in _KNOWN]
    )
    for name, fields in layouts.items():
        entry = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(entry, field, number, kind)
    for name, methods in (services or {}).items():
        entry = file.service.add(name=name)
        for method, (asked, answered) in methods.items():
            entry.method.add(
                name=method, input_type=f".{package}.{asked}", output_type=f".{package}.{answered}"
            )
    pool = descriptor_pool.DescriptorPool()
    for known in _KNOWN:
        pool.AddSerializedFile(known.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in layouts
    }


def _add_field(entry: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    label = _FIELD.LABEL_REPEATED if kind.startswith("repeated ") else _FIELD.LABEL_OPTIONAL
    field = entry.field.add(name=name, number=number, label=label)
    kind = kind.removeprefix("repeated ")
    if kind in _KINDS:
        field.type = _KINDS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, kind
