"""Messages without the import of TensorFlow: the same classes as with it, in either order."""

from __future__ import annotations

import pytest

from keras_attn.serving.protos.generated_messages import generated

from ...few import few

MODULES = [
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.framework.types_pb2",
    "tensorflow.core.protobuf.saved_model_pb2",
    "tensorflow.core.protobuf.error_codes_pb2",  # imports publicly
    "tensorflow_serving.apis.prediction_service_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.config.model_server_config_pb2",
]
SCRIPT = """
import importlib, sys
from google.protobuf.message import Message
from keras_attn.serving.protos.generated_messages import generated

def real(module):
    return importlib.import_module(module)

def same(module):
    ours, theirs = vars(generated(module)), vars(real(module))
    assert set(ours) <= set(theirs), (module, set(ours) - set(theirs))
    for name, value in ours.items():
        kind = isinstance(value, type) and issubclass(value, Message)
        assert value is theirs[name] if kind else value == theirs[name], (module, name)

modules = sys.argv[2:]
for make in (generated, real) if sys.argv[1] == "generated first" else (real, generated):
    for module in modules:
        make(module)
    if make is generated and sys.argv[1] == "generated first":
        assert "tensorflow" not in sys.modules
for module in modules:
    same(module)
print("same")
"""


@pytest.mark.parametrize("order", few(["generated first", "TensorFlow first"], "generated first"))
def test_the_classes_are_those_of_tensorflow(run_python, order):
    assert run_python(SCRIPT, order, *MODULES).strip() == "same"


def test_a_message_goes_there_and_back():
    request = generated("tensorflow_serving.apis.predict_pb2").PredictRequest()
    request.inputs["text"].dtype = generated("tensorflow.core.framework.types_pb2").DT_STRING
    request.inputs["text"].string_val.append("한".encode())
    again = type(request).FromString(request.SerializeToString())
    assert again.inputs["text"].string_val == ["한".encode()]


@pytest.mark.parametrize("module", ["no_such_package.a_pb2", "tensorflow.core.framework.nothing_pb2"])
def test_a_module_that_is_not_there(module):
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        generated(module)


def test_a_module_that_is_not_generated():
    with pytest.raises(ModuleNotFoundError, match=r"holds no descriptor\. Expected a module of protoc"):
        generated("tensorflow.core.framework.__init__")
