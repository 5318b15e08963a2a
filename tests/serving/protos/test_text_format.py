from __future__ import annotations

import pytest

from keras_attn.serving.errors import ServingError
from keras_attn.serving.protos.text_format import message_type, read_text_proto


def write(tmp_path, text):
    path = tmp_path / "settings.pbtxt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_batching_parameters(tmp_path):
    text = """max_batch_size { value: 128 } batch_timeout_micros { value: 0 } allowed_batch_sizes: [8, 128]
              thread_pool_name { value: "p" } pad_variable_length_inputs: true"""
    message = read_text_proto(write(tmp_path, text), message_type("BatchingParameters"))
    assert message.max_batch_size.value == 128
    assert message.HasField("batch_timeout_micros")
    assert not message.HasField("num_batch_threads")
    assert list(message.allowed_batch_sizes) == [8, 128]
    assert message.pad_variable_length_inputs


def test_messages_have_the_numbers_that_others_use():
    message = message_type("SSLConfig")(server_key="k", server_cert="c", custom_ca="a", client_verify=True)
    assert message.SerializeToString() == b"\x0a\x01k\x12\x01c\x1a\x01a\x20\x01"
    message = message_type("MonitoringConfig")()
    message.prometheus_config.enable = True
    assert message.SerializeToString() == b"\x0a\x02\x08\x01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_such: 1", r"INVALID_ARGUMENT: Invalid protobuf file: '.*'\. Error parsing text-format"
         r" tensorflow\.serving\.SSLConfig: 1:1: .*no_such"),
        (b"\xff", "is no UTF-8"),
    ],
)  # fmt: skip
def test_files_that_hold_something_else(tmp_path, text, message):
    with pytest.raises(ServingError, match=message):
        read_text_proto(write(tmp_path, text), message_type("SSLConfig"))


def test_who_tells_of_what_cannot_be_parsed(tmp_path, caplog):
    for logs_errors in (True, False):
        with pytest.raises(ServingError):
            read_text_proto(write(tmp_path, "no_such: 1"), message_type("SSLConfig"), logs_errors)
    assert len(caplog.records) == 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ServingError, match=r"NOT_FOUND: .*/none; No such file or directory"):
        read_text_proto(str(tmp_path / "none"), message_type("SSLConfig"))
    with pytest.raises(ServingError, match=r"PERMISSION_DENIED: .*; Is a directory"):
        read_text_proto(str(tmp_path), message_type("SSLConfig"))
