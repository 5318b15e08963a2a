"""The access log as a file: where it goes, and a disk that is full."""

from __future__ import annotations

import json

import pytest

from keras_attn.serving import Options
from keras_attn.serving.errors import ServingError
from keras_attn.serving.server.assembly import access_log_of


def test_where_the_access_log_goes(tmp_path, capsys):
    log = access_log_of(Options(access_log_file="-"))
    log.write("REST", "GET /", 200, 0.0)
    assert json.loads(capsys.readouterr().out)["call"] == "GET /"
    log.close()
    log.write("REST", "GET /", 200, 0.0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ServingError, match=r"cannot write the access log .*/none/a: No such file"):
        access_log_of(Options(access_log_file=str(tmp_path / "none" / "a")))


def test_a_full_disk_costs_no_request(tmp_path, caplog):
    log = access_log_of(Options(access_log_file="/dev/full"))
    log.write("REST", "GET /", 200, 0.0)
    log.write("REST", "GET /", 200, 0.0)
    log.close()
    assert caplog.text.count("The access log ends here, as it cannot be written: ") == 1
