"""What a version of TensorFlow knows that the one before it does not: ops, attributes, and their values."""

import itertools


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
