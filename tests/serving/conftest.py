"""Tiny SavedModels, one for each behaviour, and a server that holds them all."""

from __future__ import annotations

import gc

import pytest

from keras_attn.quiet import import_tensorflow

tf = import_tensorflow()

from keras_attn.serving.inference.servable import SessionSettings  # noqa: E402
from keras_attn.serving.models.loading import SavedModelLoader  # noqa: E402
from keras_attn.serving.models.registry import Registry  # noqa: E402
from keras_attn.serving.models.served_model import ServedModel  # noqa: E402
from keras_attn.serving.rest.handler import RestHandler  # noqa: E402
from keras_attn.serving.server.options import Options  # noqa: E402
from keras_attn.serving.server.server import Server  # noqa: E402


class HalfPlus(tf.Module):
    """y = x / 2 + offset."""

    def __init__(self, offset: float):
        super().__init__()
        self.offset = tf.Variable(offset)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def call(self, x):
        return {"y": x / 2.0 + self.offset}


class TwoInTwoOut(tf.Module):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32, name="a"),
            tf.TensorSpec([None], tf.float32, name="b"),
        ]
    )
    def call(self, a, b):
        return {"scaled": a * b[:, tf.newaxis], "total": tf.reduce_sum(a, axis=1) + b}


class Shout(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def call(self, text):
        return {"loud": tf.strings.join([text, "!"]), "raw_bytes": text}


class WithDefault(tf.Module):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([], tf.float32, name="factor"),
        ]
    )
    def call(self, x, factor=tf.constant(3.0)):  # noqa: B008
        return {"y": x * factor}


class Below10(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def call(self, x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 10, message="x is too big")]):
            return {"y": x + 1}


class Integers(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="ids")])
    def call(self, ids):
        return {"doubled": ids * 2}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="ids")])
    def count(self, ids):
        return {"count": tf.size(ids)}


class Loop(tf.Module):
    """Counts to x: as slow as one likes."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def call(self, x):
        return {
            "y": tf.while_loop(lambda i: tf.reduce_any(i < x), lambda i: (i + 1,), (tf.zeros_like(x),))[0]
        }


def serialized():
    return tf.TensorSpec([None], tf.string, name="inputs")


class Examples(tf.Module):
    """Signatures over `tf.Example`s with a feature x: a fixed number of classes, x / 2 + 2, and odd ones."""

    def x(self, inputs):
        default = tf.constant([0.0])
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32, default)})["x"]

    @tf.function(input_signature=[serialized()])
    def call(self, inputs):
        return {"outputs": self.x(inputs) / 2.0 + 2.0}  # [B, 1]

    @tf.function(input_signature=[serialized()])
    def classify(self, inputs):
        x = self.x(inputs)
        labels = tf.tile([["cold", "안녕", "hot"]], [tf.shape(x)[0], 1])
        return {"classes": labels, "scores": x * [[-1.0, 0.0, 0.5]]}  # [B, 3]

    @tf.function(input_signature=[serialized()])
    def scores_alone(self, inputs):
        return {"scores": self.x(inputs)}

    @tf.function(input_signature=[serialized()])
    def labels_alone(self, inputs):
        return {"classes": inputs[:, tf.newaxis]}

    @tf.function(input_signature=[serialized()])
    def flat(self, inputs):
        return {"scores": self.x(inputs)[:, 0], "outputs": tf.constant([1.0])}

    @tf.function(input_signature=[serialized()])
    def whole_numbers(self, inputs):
        return {"outputs": tf.strings.length(inputs)}

    @tf.function(input_signature=[serialized()])
    def one_row(self, inputs):
        return {"outputs": tf.constant([[7.0]])}

    @tf.function(input_signature=[serialized()])
    def wide(self, inputs):
        return {"outputs": tf.tile(self.x(inputs), [1, 3])}


def save(module, directory, **more):
    """Saves a module with its `call` as `serving_default`."""
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.call, **more})


@pytest.fixture(scope="session", autouse=True)
def old_objects_left_alone():
    """A server collects garbage whenever it unloads a version: not that of a thousand tests before these."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Base paths of all models: name -> path, each with a version 1; `half` has 7 as well."""
    root = tmp_path_factory.mktemp("models")
    save(HalfPlus(2.0), root / "half" / "1")
    save(HalfPlus(3.0), root / "half" / "7")
    save(TwoInTwoOut(), root / "two" / "1")
    save(Shout(), root / "shout" / "1")
    save(WithDefault(), root / "default_input" / "1")
    save(Below10(), root / "below10" / "1")
    save(Loop(), root / "loop" / "1")
    integers = Integers()
    save(integers, root / "integers" / "1", count=integers.count)
    examples = Examples()
    odd = ("classify", "scores_alone", "labels_alone", "flat", "whole_numbers", "one_row", "wide")
    save(examples, root / "examples" / "1", **{name: getattr(examples, name) for name in odd})
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="session")
def registry(models):
    """A registry with every model loaded."""
    load = SavedModelLoader(SessionSettings(inter_op_threads=1))
    registry = Registry([ServedModel(name, str(path), load) for name, path in models.items()])
    for model in registry.models:
        assert model.poll() == []
    yield registry
    for model in registry.models:
        model.close(5.0)


@pytest.fixture(scope="session")
def rest(registry):
    """The REST API without a socket."""
    return RestHandler(registry)


@pytest.fixture(scope="session")
def server(registry):
    """A server in this process, on free ports, with every model."""
    options = Options(port=0, rest_api_num_threads=3, grpc_max_threads=3)
    with Server(options, registry=registry) as server:
        yield server
