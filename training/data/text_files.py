"""Text files of users: found, decompressed, decoded, and refused with a sentence that says where."""

import gzip
import zlib
from difflib import get_close_matches
from pathlib import Path

from keras_attn.errors import UserError

# A pair as it was read: the number of its line or example, counted from 1, its source and its target. Where a
# row of CSV takes several lines, the number is that of the last one.
Row = tuple[int, str, str]


class DataError(UserError, ValueError):
    """Data that cannot be used; the message says which, where, and what to do."""


def find_file(name: str, folder: str | Path) -> Path:
    """The path of a file below `folder`, or of its twin with or without `.gz` where that one is there alone.

    A `DataError` names what is near where there is none.
    """
    path = Path(folder).expanduser() / Path(name).expanduser()
    twin = path.with_suffix("") if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    if not path.exists() and twin.is_file():
        return twin
    if path.is_dir():
        raise DataError(f"`{path}` is a directory. Expected a file. Name a file inside it.")
    if path.exists():
        return path
    if not path.parent.is_dir():
        raise DataError(f"`{name}` was not found: there is no folder `{path.parent}`. Check `folder`.")
    near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    hint = f"Did you mean `{near[0]}`?" if near else "Check `folder` and the file's name."
    raise DataError(f"`{name}` was not found in the folder `{path.parent}`. {hint}")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, gunzipped where it ends in `.gz`, its byte order mark removed."""
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data) if data else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"`{path}` is no complete gzip file ({error}). Fetch or compress it again.") from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror}.") from None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(_wrong_encoding(path, data, error.start)) from None
    if "\0" in text:
        byte = data.index(b"\0")
        raise DataError(
            f"`{path}` is no text: byte {byte}, in line {_line_of(data, byte)}, is NUL. "
            f"Expected UTF-8 text. If it is UTF-16, convert it: `iconv -f UTF-16 -t UTF-8`."
        )
    if not text.strip():
        raise DataError(f"`{path}` is empty. Expected at least one line of text.")
    return text


def _wrong_encoding(path: Path, data: bytes, byte: int) -> str:
    """Error message for bytes that are not UTF-8, with the cure where the encoding is recognized."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"`{path}` is UTF-16. Expected UTF-8. Convert it: `iconv -f UTF-16 -t UTF-8`."
    if data.startswith(b"\x1f\x8b"):
        return f"`{path}` is compressed with gzip. Expected plain text. Let its name end in `.gz`."
    where = f"line {_line_of(data, byte)}, byte {byte} (0x{data[byte]:02X})"
    if _is_korean(data):
        return (
            f"`{path}` is CP949 (EUC-KR), first seen in {where}. Expected UTF-8. "
            f"Convert it: `iconv -f CP949 -t UTF-8`."
        )
    return f"`{path}` is not UTF-8: {where}. Expected UTF-8. Convert it with `iconv -t UTF-8`."


def _is_korean(data: bytes) -> bool:
    """Whether the bytes are meaningful CP949: other encodings decode too, but not to Hangul."""
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return False
    letters = [letter for letter in text if letter > "\x7f" and letter.isalpha()]
    # Syllables only: Japanese kana in EUC-JP decode to single Hangul letters, Chinese in good part to Hanja.
    syllables = sum("가" <= letter <= "힣" for letter in letters)
    return syllables > 0.8 * len(letters)


def _line_of(data: bytes, byte: int) -> int:
    return data.count(b"\n", 0, byte) + 1


def read_lines(path: Path) -> list[str]:
    r"""The lines of a text file, which end at `\n` or `\r\n` and nowhere else."""
    text = read_text(path)
    _check_line_ends(path, text)
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # the newline at the end of a file ends its last line and begins no other
    return [line.removesuffix("\r") for line in lines]


def _check_line_ends(path: Path, text: str) -> None:
    r"""Refuses a file without any line end but `\r`, as old Macs wrote it; beside `\n` it is text."""
    body = text.rstrip("\r\n")
    if "\r" in body and "\n" not in body:
        number = len(body.split("\r"))
        raise DataError(
            f"`{path}` is one line with {number} parts between bare carriage returns (\\r). Expected lines "
            "that end in \\n or \\r\\n. If those are its lines, convert it: `tr '\\r' '\\n'`."
        )


def shown(text: str) -> str:
    """The text as an error quotes it."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
