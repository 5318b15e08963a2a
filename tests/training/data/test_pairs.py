"""Reading and writing pairs: what survives, and what is refused with which sentence."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.training.data.pairs import line_numbers, read_pairs, write_pairs
from keras_attn.training.data.text_files import DataError
from keras_attn.training.recipe.recipe import PairsSpec

KOREAN = "Go.\t가.\nHi.\t안녕.\nRun!\t뛰어!\n"
ALIGNED = PairsSpec(source="a.ko", target="a.en")
TSV = PairsSpec(path="a.tsv")
CSV = PairsSpec(path="a.csv", source_column="Q", target_column="A")


@pytest.fixture
def read(tmp_path):
    """Writes files by name, then reads them as the specification says."""

    def write_and_read(spec, **files):
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / name.replace("__", ".")).write_bytes(data)
        return read_pairs(spec, tmp_path)

    return write_and_read


def test_tsv_ignores_further_columns_and_blank_lines(read):
    pairs = read(TSV, a__tsv="Go.\t가.\tCC-BY #1\n\n  \r\nHi.\t안녕.\r\n")
    assert list(pairs) == [("Go.", "가."), ("Hi.", "안녕.")]
    assert (pairs.dropped_empty, len(pairs), pairs[1], pairs[:1]) == (
        0,
        2,
        ("Hi.", "안녕."),
        [("Go.", "가.")],
    )


def test_tsv_columns_by_number_and_no_quoting(read):
    spec = PairsSpec(path="a.tsv", source_column=2, target_column=0)
    assert list(read(spec, a__tsv='x\ty\t"z\n')) == [('"z', "x")]


def test_empty_sides_are_dropped_and_counted(read):
    pairs = read(TSV, a__tsv="a\tb\n\tb\na\t \n\t\nc\td")
    assert (pairs.pairs, pairs.dropped_empty) == ([("a", "b"), ("c", "d")], 3)


def test_aligned_files_break_at_newlines_only(read):
    source = "하나\u2028둘\n셋\x0b넷\x0c\n다섯\x85\x1c여섯\r\n"
    pairs = read(ALIGNED, a__ko=source, a__en="1 2\n3 4\n5 6")
    assert list(pairs) == [("하나\u2028둘", "1 2"), ("셋\x0b넷\x0c", "3 4"), ("다섯\x85\x1c여섯", "5 6")]


def test_aligned_gzip_files(read):
    spec = PairsSpec(source="a.ko.gz", target="a.en")
    assert list(read(spec, a__ko__gz=gzip.compress("가\n나\n".encode()), a__en="g\nn\n")) == [
        ("가", "g"),
        ("나", "n"),
    ]


@pytest.mark.parametrize(("named", "there"), [("a.tsv.gz", "a__tsv"), ("a.tsv", "a__tsv__gz")])
def test_a_file_is_also_found_compressed_or_not(read, named, there):
    content = gzip.compress(KOREAN.encode()) if there.endswith("gz") else KOREAN
    assert len(read(PairsSpec(path=named), **{there: content})) == 3


def test_the_folder_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tsv").write_text(KOREAN, encoding="utf-8")
    assert len(read_pairs(TSV, "~/data")) == 3


@pytest.mark.parametrize("end", ["", "\r", "\n"])
@pytest.mark.parametrize("spec", [TSV, ALIGNED, PairsSpec(path="a.jsonl", source_column=0, target_column=1)])
def test_lines_that_end_in_a_bare_carriage_return(read, spec, end):
    text = '["a", "b"]\r["c", "d"]' if spec.path == "a.jsonl" else "a\tb\rc\td\re\tf"
    number = 2 if spec.path == "a.jsonl" else 3
    with pytest.raises(DataError, match=rf"is one line with {number} parts .*\(\\r\).*tr '\\r' '\\n'"):
        read(spec, **dict.fromkeys(("a__tsv", "a__ko", "a__en", "a__jsonl"), text + end))


def test_a_carriage_return_beside_newlines_is_text(read):
    assert list(read(TSV, a__tsv="a\rb\tc\nd\te\r")) == [("a\rb", "c"), ("d", "e")]


def test_an_empty_line_keeps_its_place(read):
    pairs = read(ALIGNED, a__ko="가\n\n다\n", a__en="g\nn\nd\n")
    assert (pairs.pairs, pairs.dropped_empty) == ([("가", "g"), ("다", "d")], 1)


@pytest.mark.parametrize("columns", [("Q", "A"), (0, 1), ("Q", 1)])
def test_csv_by_name_and_number(read, columns):
    spec = PairsSpec(path="a.csv", source_column=columns[0], target_column=columns[1])
    content = '\nQ,A,label\n"안녕, ""너""","두\n줄",0\n\n12시 땡!,하루,1\n'
    assert list(read(spec, a__csv=content)) == [('안녕, "너"', "두\n줄"), ("12시 땡!", "하루")]


def test_csv_fields_of_any_length(read):
    long = "x" * 131_073
    assert list(read(CSV, a__csv=f"Q,A,article\n{long},b,{long}\n")) == [(long, "b")]


def test_csv_gz_with_byte_order_mark(read):
    spec = PairsSpec(path="a.csv.gz", source_column="Q", target_column="A")
    content = gzip.compress("\ufeffQ,A\r\n가,나\r\n".encode())
    assert list(read(spec, a__csv__gz=content)) == [("가", "나")]


def test_byte_order_mark_is_no_text(read):
    assert read(TSV, a__tsv="\ufeff" + KOREAN)[0] == ("Go.", "가.")


def test_decomposed_hangul_stays_decomposed(read):
    assert read(TSV, a__tsv="\u1112\u1161\u11ab\t한\n")[0] == ("\u1112\u1161\u11ab", "한")


def test_absolute_path(tmp_path):
    write_pairs(tmp_path / "a.tsv", [("가", "b")])
    assert list(read_pairs(PairsSpec(path=str(tmp_path / "a.tsv")))) == [("가", "b")]


@pytest.mark.parametrize(
    ("spec", "files", "message"),
    [
        (TSV, {"b__tsv": KOREAN}, "`a.tsv` was not found in the folder .* Did you mean `b.tsv`"),
        (TSV, {"quite__other": KOREAN}, "`a.tsv` was not found in the folder .* Check `folder`"),
        (PairsSpec(path="no/a.tsv"), {}, "`no/a.tsv` was not found: there is no folder"),
        (PairsSpec(path="."), {}, "is a directory. Expected a file"),
        (TSV, {"a__tsv": b""}, "a.tsv` is empty"),
        (TSV, {"a__tsv": b"\xef\xbb\xbf\n\n"}, "a.tsv` is empty"),
        (TSV, {"a__tsv": "\tb\n"}, "holds no pair.* Received: 1 with an empty side"),
        (TSV, {"a__tsv": KOREAN.encode("cp949")}, "is CP949 .* line 1, byte 4 .*iconv -f CP949 -t UTF-8"),
        (TSV, {"a__tsv": KOREAN.encode("utf-16")}, "is UTF-16.*iconv -f UTF-16 -t UTF-8"),
        (TSV, {"a__tsv": "a\tb\nfür\tb".encode("latin-1")}, r"is not UTF-8: line 2, byte 5 \(0xFC\)"),
        (TSV, {"a__tsv": "日本\tか\n漢字\tな".encode("euc-jp")}, "is not UTF-8: line 1, byte 0"),
        (TSV, {"a__tsv": gzip.compress(b"a\tb")}, "is compressed with gzip.*end in `.gz`"),
        (TSV, {"a__tsv": b"a\tb\nc\0\td"}, "byte 5, in line 2, is NUL"),
        (TSV, {"a__tsv": "a\tb\nonly one\n"}, "Line 2 of .* at least 2.* Received: 1, 'only one'"),
        (TSV, {"a__tsv": "a\tb\n" + "x" * 99}, "Received: 1, 'x{57}...'"),
        (PairsSpec(path="a.tsv", target_column="A"), {"a__tsv": KOREAN}, "`target_column` must be a number"),
        (
            CSV,
            {"a__csv": "Question,A\nx,y"},
            "`source_column` must name one .*'Question', 'A'.*Received: 'Q'",
        ),
        (CSV, {"a__csv": "q,A\nx,y"}, "Received: 'Q'. Did you mean 'q'"),
        (CSV, {"a__csv": "Q,A,Q\nx,y,z"}, r"must name one column .* Received: 'Q'\.$"),
        (PairsSpec(path="a.csv", target_column=7), {"a__csv": "Q,A\nx,y"}, "a number below 2. Received: 7"),
        (CSV, {"a__csv": "Q,A\nx,y\nz\n"}, "Line 3 of .* too few columns. Expected at least 2. Received: 1"),
        (CSV, {"a__csv": 'Q,A\nx,"y\nz,w\n'}, "Line 3 of .* is no valid CSV: unexpected end"),
        (PairsSpec(path="a.gz"), {"a__gz": b"text"}, "is no complete gzip file"),
        (PairsSpec(path="a.gz"), {"a__gz": gzip.compress(b"text")[:-9]}, "is no complete gzip file"),
        (
            PairsSpec(path="a.gz"),
            {"a__gz": gzip.compress(b"text")[:12] + b"\xff" * 9},
            "no complete gzip file",
        ),
        (ALIGNED, {"a__ko": "가\n나\n다\n", "a__en": "g\n"}, "Received: 3 and 1. Line 2 of `a.ko` .*'나'"),
        (ALIGNED, {"a__ko": "가\n", "a__en": "g\nn"}, "Received: 1 and 2. Line 2 of `a.en` .*'n'"),
    ],
)
def test_reading_refuses(read, spec, files, message):
    with pytest.raises(DataError, match=message):
        read(spec, **files)


def test_unreadable_file(read, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    with pytest.raises(DataError, match=r"a.tsv` cannot be read: Permission denied"):
        read(TSV, a__tsv=KOREAN)


line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r\0")).filter(str.strip)
pairs_of_lines = st.lists(st.tuples(line.filter(lambda text: text[0] != "\ufeff"), line), min_size=1)


@given(pairs_of_lines)
def test_written_pairs_are_read_back(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder / "a.tsv", pairs)
    assert read_pairs(TSV, folder).pairs == pairs
    assert [entry.name for entry in folder.iterdir()] == ["a.tsv"]


def test_written_bytes(tmp_path):
    write_pairs(tmp_path / "a.tsv", [("가", "g"), ("나\u2028", "n")])
    assert (tmp_path / "a.tsv").read_bytes() == "가\tg\n나\u2028\tn\n".encode()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("a\tb", "c"), r"Pair 2 cannot be written as TSV.* Received: 'a\\tb'"),
        (("a", "b\nc"), r"Pair 2 .* Received: 'b\\nc'"),
        (("a\r", "c"), r"Pair 2 .* Received: 'a\\r'"),
        (("a\0", "c"), "Pair 2 cannot be written as TSV"),
        (("a", " "), "Pair 2 .* Received: ' '"),
        (("a", "\ud800"), "Pair 2 cannot be written as UTF-8"),
    ],
)
def test_writing_refuses_and_leaves_the_old_file(tmp_path, pair, message):
    path = tmp_path / "a.tsv"
    write_pairs(path, [("old", "file")])
    with pytest.raises(DataError, match=message):
        write_pairs(path, [("fine", "pair"), pair])
    assert path.read_text() == "old\tfile\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tsv"]


def test_writing_refuses_a_leading_byte_order_mark(tmp_path):
    with pytest.raises(DataError, match=r"Pair 1 .*leading U\+FEFF"):
        write_pairs(tmp_path / "a.tsv", [("\ufeffa", "b")])


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.csv", "is written as plain TSV"), ("a.tsv.gz", "is written as plain TSV"), ("no/a.tsv", "No such")],
)
def test_writing_refuses_the_path(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        write_pairs(tmp_path / name, [("a", "b")])


@pytest.mark.parametrize(
    ("spec", "name", "content", "lines"),
    [
        (TSV, "a.tsv", "p\tq\n\n \tx\na\tb\nc\td\na\tb\n", [[4, 6], [5], []]),
        (CSV, "a.csv", 'Q,A\np,q\n"r\ns",t\na,b\nc,d\n', [[5], [6], []]),
        (PairsSpec(path="a.jsonl"), "a.jsonl", '["p", "q"]\n\n["a", "b"]\n["c", "d"]\n', [[3], [4], []]),
    ],
)
def test_the_lines_of_pairs(tmp_path, spec, name, content, lines):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert line_numbers(spec, [("a", "b"), ("c", "d"), ("a", "d")], tmp_path) == lines


def test_the_lines_of_aligned_files(tmp_path):
    (tmp_path / "a.ko").write_text("x\na\n\na\n")
    (tmp_path / "a.en").write_text("x\nb\nz\nb\n")
    assert line_numbers(ALIGNED, [("a", "b")], tmp_path) == [[2, 4]]
