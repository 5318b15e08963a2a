from __future__ import annotations

import pytest

from keras_attn.serving.models.version_dirs import fingerprint, list_versions, parse_version, real_directory


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("7", 7),
        ("00000123", 123),
        ("+5", 5),
        (" 5", 5),
        ("0", 0),
        ("-1", -1),
        (" -05\n", -5),
        ("-0", 0),
        ("- 1", None),
        ("+-1", None),
        ("-", None),
        ("7.tmp", None),
        ("v7", None),
        ("", None),
        ("٣", None),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        (str(-(2**63)), -(2**63)),
        (str(-(2**63) - 1), None),
    ],
)
def test_parse_version(name, version):
    assert parse_version(name) == version


def test_list_versions(tmp_path):
    for name in ("1", "01", "3", "-3", ".tmp-4", "assets"):
        (tmp_path / name).mkdir()
    (tmp_path / "5").write_text("a file")
    assert list_versions(str(tmp_path)) == {n: str(tmp_path / str(n)) for n in (1, 3, -3)}
    with pytest.raises(FileNotFoundError):
        list_versions(str(tmp_path / "nothing"))


def test_links_are_followed_and_urls_are_left_alone(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert real_directory(str(tmp_path / "link" / "1")) == str(tmp_path / "a" / "1")
    assert real_directory("gs://bucket/../m/1") == "gs://bucket/../m/1"


def test_fingerprint_notices_a_file_that_grows(tmp_path):
    (tmp_path / "variables").mkdir()
    data = tmp_path / "variables" / "variables.index"
    data.write_text("a")
    before = fingerprint(str(tmp_path))
    assert fingerprint(str(tmp_path)) == before
    data.write_text("ab")
    assert fingerprint(str(tmp_path)) != before
    assert fingerprint(str(tmp_path / "nothing")) == frozenset()
