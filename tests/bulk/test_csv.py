"""CSV as other programs and people write it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import read_columns, read_rejects, rows, write, write_compressed
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.csv_records import CsvRecords
from e5_onnx.bulk.run import run_bulk
from e5_onnx.bulk_job import Columns, Job
from e5_onnx.errors import OptionError


def records(text: str, delimiter: str = ",") -> list[tuple[int, list[str], str | None]]:
    found = CsvRecords(io.StringIO(text, newline=""), delimiter)
    return [(record.line, record.cells, record.flaw) for record in found]


# Ten characters cannot hold lines that look like rows of three or four cells.
CELLS = st.text('ab1", ;\n\r\t', max_size=10)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_pythons_writer_wrote_is_read_again(
    table: list[list[str]], delimiter: str, quoting: Any
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows(table)
    found = records(text.getvalue(), delimiter)
    assert [cells for _, cells, _ in found] == table
    assert [flaw for _, _, flaw in found] == [None] * len(table)


# A quote that closes the stray one by chance would be the first of a cell that begins with a delimiter.
TEXTS = st.text("abc ,\n", min_size=1, max_size=30).map(lambda text: f"a{text}")


@given(st.lists(TEXTS, min_size=2, max_size=20), st.data())
def test_a_stray_quote_costs_its_own_row(texts: list[str], data: st.DataObject) -> None:
    stray = data.draw(st.integers(0, len(texts) - 1))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "text"])
    for number, cell in enumerate(texts):
        if number == stray:
            text.write(f'{number},"not closed\r\n')
        else:
            writer.writerow([number, cell])
    _, *found = records(text.getvalue())
    good = [cells for _, cells, flaw in found if flaw is None]
    assert good == [[str(number), cell] for number, cell in enumerate(texts) if number != stray]
    (bad,) = [record for record in found if record[2] is not None]
    assert bad[1] == [str(stray), '"not closed']
    assert bad[0] == text.getvalue().replace("\r\n", "\n").split('"not closed')[0].count("\n") + 1


PLAIN = [f"{number},row {number}" for number in range(40)]


def with_line(number: int, line: str, *, last: str | None = None) -> str:
    lines = [*PLAIN]
    lines[number] = line
    lines[-1] = lines[-1] if last is None else last
    return "\n".join(["id,text", *lines]) + "\n"


SWALLOWING = {
    "never closed": (with_line(3, '3,"oops'), "unexpected end of data"),
    "closed in the middle of a cell": (with_line(3, '3,"oops', last='39,he said "ok"'), "',' expected after"),
    "closed by a quoted cell": (with_line(3, '3,"oops', last='39,"quoted, too"'), "',' expected after"),
    "closed at the end of a cell": (
        with_line(3, '3,"oops', last='39,12"'),
        "its lines are rows of their own",
    ),
    "closed, with a cell too many": (
        with_line(3, '3,"oops', last='39,",x"'),
        "its lines are rows of their own",
    ),
    "on the first row": (with_line(0, '0,"oops', last='39,12"'), "its lines are rows of their own"),
}


@pytest.mark.parametrize("name", SWALLOWING)
def test_lines_behind_a_stray_quote_are_rows(name: str) -> None:
    text, why = SWALLOWING[name]
    _, *found = records(text)
    assert [int(cells[0]) for _, cells, _ in found] == list(range(40))
    ((line, cells, flaw),) = [record for record in found if record[2] is not None]
    first = int(cells[0])
    assert line == first + 2
    assert f"a quote opens on line {line} and is not closed properly up to line 41 ({why}" in str(flaw)
    assert f"the {41 - line} lines after line {line} are read as rows of their own" in str(flaw)


def test_two_stray_quotes_are_two_bad_rows() -> None:
    text = with_line(3, '3,"oops').replace("20,row 20", '20,"again')
    assert [line for line, _, flaw in records(text) if flaw] == [5, 22]


MANY_LINES = {
    "a letter": '1,"Dear John,\n\nthanks, and bye\nMary"\n2,b\n',
    "one comma a line": '1,"Roses are red,\nviolets are blue,\nsugar is sweet,"\n2,b\n',
    "no comma": '1,"a\nb\nc\nd"\n2,b\n',
    "a list of numbers": '1,"10\n20\n30\n40"\n2,b\n',
    "one line like a row": '1,"a\n2,b"\n2,b\n',
}


@pytest.mark.parametrize("name", MANY_LINES)
def test_a_cell_of_many_lines_is_one_cell(name: str) -> None:
    text = MANY_LINES[name]
    expected = list(csv.reader(io.StringIO(text)))
    assert [(cells, flaw) for _, cells, flaw in records("id,text\n" + text)[1:]] == [
        (row, None) for row in expected
    ]


def test_a_record_with_other_cells_names_its_lines() -> None:
    found = records('id,text\n1,"a\nb",c\n2\n')
    assert found[1:] == [
        (2, ["1", "a\nb", "c"], "it has 3 cells, the first row has 2 (lines 2 to 3)"),
        (4, ["2"], "it has 1 cells, the first row has 2"),
    ]


TYPED = {
    "whole numbers": (["1", "-20", ""], pa.int64(), [1, -20, None]),
    "numbers": (["1", "2.50", "1e-05"], pa.float64(), [1.0, 2.5, 1e-05]),
    "yes and no": (["true", "False", "TRUE"], pa.bool_(), [True, False, True]),
    "zeros in front": (["007", "008", ""], pa.string(), ["007", "008", ""]),
    "signs": (["+1", "-0"], pa.string(), ["+1", "-0"]),
    "beyond 64 bits": ([str(2**63), "1"], pa.string(), [str(2**63), "1"]),
    "codes with an E": (["12E4", "1"], pa.string(), ["12E4", "1"]),
    "numbers and words": (["1", "n/a"], pa.string(), ["1", "n/a"]),
    "no number": (["nan", "inf", "1.5"], pa.string(), ["nan", "inf", "1.5"]),
    "decimal commas": (["1,5", "2"], pa.string(), ["1,5", "2"]),
    "nothing": (["", ""], pa.string(), ["", ""]),
    "yes and a number": (["true", "1"], pa.string(), ["true", "1"]),
}


def write_cells(path: Path, cells: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "value"], *(["moon", cell] for cell in cells)])
    return path


@pytest.mark.parametrize("name", TYPED)
def test_a_column_has_the_type_of_all_its_cells(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    cells, kind, values = TYPED[name]
    path = write_cells(tmp_path / "in.csv", cells)
    run_bulk(job(path, columns=Columns(keep=("value",)), shard_rows=1))
    assert {pq.read_schema(part).field("value").type for part in (tmp_path / "out").glob("*.parquet")} == {
        kind
    }
    assert read_columns(tmp_path / "out")["value"] == values


def test_files_share_the_types_of_their_columns(tmp_path: Path, job: Callable[..., Job]) -> None:
    first = write_cells(tmp_path / "a.csv", ["1", "2"])
    second = write_cells(tmp_path / "b.csv", ["2.5"])
    third = write("jsonl", tmp_path, [{"text": "moon", "value": 7}], name="c")
    inputs = tuple(map(str, (first, second, third)))
    run_bulk(job(first, inputs=inputs, columns=Columns(keep=("value",))))
    assert read_columns(tmp_path / "out")["value"] == [1.0, 2.0, 2.5, 7.0]


def test_cells_become_strings_beside_a_column_of_strings(tmp_path: Path, job: Callable[..., Job]) -> None:
    cells = write_cells(tmp_path / "a.csv", ["1", "02"])
    pq.write_table(pa.table({"text": ["moon"], "value": ["3"]}), tmp_path / "b.parquet")
    inputs = (str(cells), str(tmp_path / "b.parquet"))
    run_bulk(job(cells, inputs=inputs, columns=Columns("text", "value")))
    assert read_columns(tmp_path / "out")["id"] == ["1", "02", "3"]


IDS = {
    "whole numbers": (["3", "1"], [3, 1]),
    "versions": (["1.10", "1.1"], ["1.10", "1.1"]),
    "words": (["true", "false"], ["true", "false"]),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_are_whole_numbers_or_strings(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    cells, ids = IDS[name]
    run_bulk(job(write_cells(tmp_path / "in.csv", cells), columns=Columns("text", "value")))
    assert read_columns(tmp_path / "out")["id"] == ids


def test_an_empty_id_is_none(tmp_path: Path, job: Callable[..., Job]) -> None:
    run_bulk(job(write_cells(tmp_path / "in.csv", ["a", ""]), columns=Columns("text", "value")))
    (reject,) = read_rejects(tmp_path / "out")
    assert reject == {
        "file": str(tmp_path / "in.csv"),
        "row": 1,
        "line": 3,
        "id": None,
        "reason": "its id is null",
    }


BAD_IDS = {
    "a cell too many, id first": (b"doc,text,n\n7,a,b,1\n8,sea,1\n", 7),
    "a cell too many, id last": (b"text,n,doc\na,b,1,7\nsea,1,8\n", 7),
    "a cell too few": (b"text,doc,n\nsea,7\nsea,8,1\n", 7),
    "no cell for the id": (b"text,n,doc\nsea,7\nsea,1,8\n", None),
    "half a character": (b"doc,text\n7,\xff\n8,sea\n", 7),
    "a stray quote": (b'doc,text\n7,"sea\n8,tea\n', 7),
    "a quoted id": (b'doc,text\n"7","sea"s\n8,tea\n', 7),
    "an id of another kind": (b"doc,text\nseven,a,b\n8,sea\n", "seven"),
    "broken bytes in the id": (b"doc,text\n\xff,a,b\n8,sea\n", "\udcff"),
}


@pytest.mark.parametrize("output", ["out", "out.npy"])
@pytest.mark.parametrize("name", BAD_IDS)
def test_a_bad_row_keeps_its_id(name: str, output: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    data, expected = BAD_IDS[name]
    (tmp_path / "in.csv").write_bytes(data)
    run_bulk(job(tmp_path / "in.csv", columns=Columns("text", "doc"), output=tmp_path / output))
    (reject,) = read_rejects(tmp_path / output)
    assert (reject["line"], reject["id"]) == (2, expected)
    known = expected if isinstance(expected, int) else None
    assert read_columns(tmp_path / output)["id"] == ([8] if output == "out" else [known, 8])


def test_a_bad_row_without_an_id_column(tmp_path: Path, job: Callable[..., Job]) -> None:
    (tmp_path / "in.csv").write_text("text,n\nmoon,1\na,b,2\n", "utf-8")
    run_bulk(job(tmp_path / "in.csv", columns=Columns(keep=("n",)), output=tmp_path / "out.npy"))
    assert read_columns(tmp_path / "out.npy") == {"id": [0, 1], "n": [1, None]}
    assert [reject["id"] for reject in read_rejects(tmp_path / "out.npy")] == [1]


DIALECTS = {
    "semicolons": ("in.csv", b"doc;text;n\na;moon;1,5\nb;tea;2\n", None),
    "tabs": ("in.csv", b"doc\ttext\tn\na\tmoon\t1,5\nb\ttea\t2\n", None),
    "tabs by the name": ("in.tsv", b"doc\ttext\tn\na\tmoon\t1,5\nb\ttea\t2\n", None),
    "tabs by the name, with commas": ("in.TSV", b"doc\ttext\tn,m\na\tmoon\t1,5\nb\ttea\t2\n", None),
    "compressed tabs": ("in.tsv.gz", b"doc\ttext\tn\na\tmoon\t1,5\nb\ttea\t2\n", None),
    "bars": ("in.csv", b"doc|text\na|moon\nb|tea\n", None),
    "commas in the other cells": ("in.csv", b"doc;text;a,b,c,d\na;moon;\nb;tea;\n", None),
    "a line that names it": ("in.csv", b"sep=;\r\ndoc;text\r\na;moon\r\nb;tea\r\n", None),
    "a quoted line that names it": ("in.csv", b'\xef\xbb\xbf"sep=^"\ndoc^text\na^moon\nb^tea\n', None),
    "another by name": ("in.csv", b"doc^text\na^moon\nb^tea\n", "^"),
    "both": ("in.csv", b"sep=;\ndoc^text\na^moon\nb^tea\n", "^"),
    "quoted names": ("in.csv", b'"doc";"text"\n"a";"moon"\n"b";"tea"\n', None),
    "blank lines in front": ("in.csv", b"\n\r\ndoc;text\na;moon\n\nb;tea\n\n", None),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_delimiters(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    file, data, delimiter = DIALECTS[name]
    write_compressed(tmp_path / file, data)
    run_bulk(job(tmp_path / file, columns=Columns("text", "doc", ("text",), delimiter)))
    assert read_columns(tmp_path / "out") == {"id": ["a", "b"], "text": ["moon", "tea"]}


def test_a_header_that_lacks_the_column_is_shown_by_its_names(
    tmp_path: Path, job: Callable[..., Job]
) -> None:
    (tmp_path / "in.csv").write_text("id;Text,de;n\n1;a;2\n", "utf-8")
    with pytest.raises(
        InputFileError, match=r"no column 'text' \(`text_column`\); it has 'id', 'Text,de', 'n'"
    ):
        run_bulk(job(tmp_path / "in.csv"))


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n"])
def test_what_cannot_be_a_delimiter(delimiter: str) -> None:
    with pytest.raises(OptionError, match="one character, and no quote or line end"):
        Columns(delimiter=delimiter)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv.zst", "jsonl", "txt.gz"])
def test_utf16_is_named(kind: str, coding: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    write_compressed(tmp_path / f"in.{kind}", json.dumps(rows(3)).encode(coding))
    with pytest.raises(InputFileError, match="it is UTF-16: convert it to UTF-8"):
        run_bulk(job(tmp_path / f"in.{kind}"))
