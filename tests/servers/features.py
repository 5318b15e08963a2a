"""What a version of TensorFlow knows and another does not: ops, attributes, and their values."""

import itertools

from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.export.verification.servable_ops import features_of


def features_since(registries):
    """The features that each version brought.

    Args:
        registries: by version, such as "2.17", the ops as `client.registered_ops` gives them.

    Returns:
        By version, but for the oldest, a sorted list: `"Op"`; `"Op.attribute"` of an op that was there
        before; `"Op.attribute=value"` of an attribute that was there before.
    """
    versions = sorted(registries, key=_number)
    known = {version: set(_features(registries[version])) for version in versions}
    return {
        version: sorted(
            feature
            for feature in known[version] - known[before]
            if _parent(feature) is None or _parent(feature) in known[before]
        )
        for before, version in itertools.pairwise(versions)
    }


def unknown_features(folder, ops):
    """What an export has and a version does not know, in functions that nobody calls, too.

    Args:
        folder: of the export's version.
        ops: of `client.registered_ops`.

    Returns:
        A sorted list.
    """
    content = (folder / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return sorted(x for x in features_of(meta_graph.graph_def) if not _is_known(x, ops))


def _is_known(feature, ops):
    name, _, value = feature.partition("=")
    op, _, attribute = name.partition(".")
    if op not in ops or not attribute or attribute.startswith("_"):
        return op in ops
    if attribute not in ops[op]:
        return False
    allowed = ops[op][attribute]
    return not value or not allowed or value in allowed


def _features(ops):
    for op, attributes in ops.items():
        yield op
        for attribute, values in attributes.items():
            yield f"{op}.{attribute}"
            yield from (f"{op}.{attribute}={value}" for value in values)


def _parent(feature):
    for separator in "=.":
        if separator in feature:
            return feature.rpartition(separator)[0]
    return None


def _number(version):
    return tuple(map(int, version.split(".")))
