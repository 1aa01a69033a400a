"""Test data: a folder's, downloaded, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from small_data import QUESTIONS, TATOEBA, add_file, write_data, write_questions

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.digest import file_sha256
from e5_onnx_perf.accuracy import data_folder
from e5_onnx_perf.accuracy.data_folder import HOMES, DataFolder, DownloadedData, Home, open_data, published
from e5_onnx_perf.accuracy.languages import ENGLISH, find_language, language_name
from e5_onnx_perf.accuracy.languages import TATOEBA as LANGUAGES
from e5_onnx_perf.accuracy.squad import name_retrieval_file, read_questions
from e5_onnx_perf.accuracy.stsb import LANGUAGES as STS_LANGUAGES
from e5_onnx_perf.accuracy.tatoeba import read_translations
from e5_onnx_perf.errors import DataError, DownloadError

GERMAN = find_language("de")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_every_published_file_has_a_hash_and_a_home() -> None:
    names = {f"stsb/stsb-{code}-test.csv" for code in STS_LANGUAGES}
    for language in LANGUAGES:
        names |= {f"tatoeba/tatoeba.{language.tatoeba}-eng.{end}" for end in (language.tatoeba, "eng")}
    assert published().keys() == names
    assert all(len(digest) == 64 for digest in published().values())
    assert {name.partition("/")[0] for name in names} == {home.folder for home in HOMES}
    # A commit, not a branch: what is published there can never change.
    assert all(any(len(part) == 40 for part in home.url.split("/")) for home in HOMES)


def test_languages_are_found_by_either_code() -> None:
    assert len(LANGUAGES) == len({language.tatoeba for language in LANGUAGES}) == 112
    assert find_language("deu") is find_language("de") is GERMAN
    assert (find_language("zh").tatoeba, find_language("yue").short) == ("cmn", "yue")
    assert (language_name("sw"), language_name("eng"), language_name("xx")) == ("Swahili", "English", "xx")
    with pytest.raises(OptionError, match=r"languages is 'xx'; it must be a code .* af, am, ang"):
        find_language("xx")


def test_translations_are_read(data: Path) -> None:
    found = read_translations(DataFolder(data), GERMAN)
    assert list(zip(found.other, found.english, strict=True)) == TATOEBA["deu"]
    assert len(read_translations(DataFolder(data), GERMAN, 2).english) == 2
    with pytest.raises(DataError, match="tatoeba: there is no language 'en'"):
        read_translations(DataFolder(data), ENGLISH)


def test_only_line_feeds_end_a_sentence(data: Path) -> None:
    add_file(data, "tatoeba/tatoeba.deu-eng.deu", "Ein\x0bs.\r\nZwei\u2028zwei.\nDrei.\nVier.\nFünf.\n")
    assert read_translations(DataFolder(data), GERMAN).other[:2] == ["Ein\x0bs.", "Zwei\u2028zwei."]


BAD_SENTENCES: dict[str, tuple[str | bytes, str]] = {
    "fewer": ("Eins.\n", r"tatoeba\.deu-eng\.deu: it has 1 lines, its English half has 5"),
    "blank": ("Eins.\n \nDrei.\nVier.\nFünf.\n", r"tatoeba\.deu-eng\.deu, line 2: there is no sentence"),
    "empty": ("", r"tatoeba\.deu-eng\.deu: it is empty"),
    "not UTF-8": (b"Eins.\n\xff\n", r"tatoeba\.deu-eng\.deu, line 2: 'utf-8' codec can't decode"),
}


@pytest.mark.parametrize("name", BAD_SENTENCES)
def test_malformed_sentences_are_named_with_their_line(name: str, data: Path) -> None:
    text, message = BAD_SENTENCES[name]
    add_file(data, "tatoeba/tatoeba.deu-eng.deu", text)
    with pytest.raises(DataError, match=message):
        read_translations(DataFolder(data), GERMAN)


def test_a_folder_without_hashes_is_compared_with_the_published_ones(data: Path) -> None:
    (data / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match=r"de-test\.csv: its sha256 is .*, its publisher says a92ce10"):
        DataFolder(data).find("stsb/stsb-de-test.csv")
    (data / "stsb" / "other.csv").write_text("A.,B.,1\n")
    with pytest.raises(DataError, match=r"stsb/other\.csv: without SHA256SUMS its hash is not known"):
        DataFolder(data).find("stsb/other.csv")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: there is no such folder: `data` names"):
        open_data(tmp_path / "absent", tmp_path)


@pytest.fixture
def home(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_server) -> DownloadedData:
    """The small data, published by a server on this machine."""
    sums = {str(file.relative_to(data)): file_sha256(file) for file in data.rglob("*.*") if file.is_file()}
    monkeypatch.setattr(data_folder, "published", lambda: sums)
    homes = tuple(Home(home.folder, f"{file_server(data)}/{home.folder}/") for home in HOMES)
    return DownloadedData(tmp_path / "cache", homes)


def test_a_file_is_downloaded_once(home: DownloadedData, data: Path) -> None:
    found = read_translations(home, GERMAN)
    assert len(found.other) == 5
    shutil.rmtree(data)
    assert read_translations(home, GERMAN) == found
    # What a task does not need is not downloaded.
    assert sorted(file.name for file in home.cache.rglob("*") if file.is_file()) == [
        "tatoeba.deu-eng.deu",
        "tatoeba.deu-eng.eng",
    ]


def test_a_download_is_compared_with_its_hash(home: DownloadedData, data: Path) -> None:
    (data / "tatoeba" / "tatoeba.deu-eng.deu").write_text("Andere Sätze.\n")
    with pytest.raises(DownloadError, match=r"cannot download http.*deu-eng\.deu: SHA256 hash"):
        read_translations(home, GERMAN)
    assert not [file for file in home.cache.rglob("*") if file.is_file()]


def test_a_damaged_copy_is_downloaded_again(home: DownloadedData) -> None:
    copy = home.find("stsb/stsb-de-test.csv")
    whole = copy.read_bytes()
    copy.write_bytes(whole[:40])
    assert home.find("stsb/stsb-de-test.csv").read_bytes() == whole


def test_without_a_network_the_remedy_is_named(home: DownloadedData) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    offline = replace(home, homes=(Home("tatoeba", f"http://127.0.0.1:{port}/"),))
    with pytest.raises(DownloadError, match="copy the data there and name its folder as `data`") as caught:
        read_translations(offline, GERMAN)
    assert caught.value.url.endswith("/tatoeba.deu-eng.deu")


def test_only_published_files_are_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stsb/stsb-xx-test\.csv: it is not among the published files"):
        DownloadedData(tmp_path).find("stsb/stsb-xx-test.csv")


def test_questions_are_read(tmp_path: Path) -> None:
    found = read_questions(write_questions(tmp_path / "things.en.json"))
    assert found.documents == [context for context, _ in QUESTIONS]
    assert found.relevant == [0, 0, 1, 2, 2]
    # Questions to one paragraph stand and fall together.
    assert found.clusters == ["0-0", "0-0", "1-0", "2-0", "2-0"]
    assert len(read_questions(tmp_path / "things.en.json", 3).questions) == 3
    assert len(read_questions(tmp_path / "things.en.json", 3).documents) == 3


def test_a_paragraph_that_stands_twice_is_one_document(tmp_path: Path) -> None:
    same = [{"context": "Bees.", "qas": [{"question": f"{number}?"}]} for number in range(2)]
    file = tmp_path / "bees.json"
    file.write_text(json.dumps({"data": [{"paragraphs": same}]}))
    found = read_questions(file)
    assert (found.documents, found.relevant) == (["Bees."], [0, 0])
    assert len(set(found.clusters)) == 2


BAD_QUESTIONS: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{\n{", r"bad\.json, line 2: it is not JSON: Expecting"),
    "not UTF-8": (b"\xff", r"bad\.json: it is not JSON: 'utf-8'"),
    "no data": ("[]", r"bad\.json: data is not a list"),
    "no paragraphs": ('{"data": [{}]}', r"bad\.json: data\[0\]\.paragraphs is not a list"),
    "no context": (
        '{"data": [{"paragraphs": [{"qas": []}]}]}',
        r"bad\.json: data\[0\]\.paragraphs\[0\]\.context is not a text",
    ),
    "no questions": (
        '{"data": [{"paragraphs": [{"context": "A."}]}]}',
        r"paragraphs\[0\]\.qas is not a list",
    ),
    "blank question": (
        '{"data": [{"paragraphs": [{"context": "A.", "qas": [{"question": " "}]}]}]}',
        r"qas\[0\]\.question is not a text",
    ),
    "no row": (
        '{"data": [{"paragraphs": [{"context": "A.", "qas": [3]}]}]}',
        r"qas\[0\]\.question is not a text",
    ),
    "nothing asked": ('{"data": [{"paragraphs": [{"context": "A.", "qas": []}]}]}', "it holds no question"),
}


@pytest.mark.parametrize("name", BAD_QUESTIONS)
def test_malformed_questions_are_named_with_their_place(name: str, tmp_path: Path) -> None:
    text, message = BAD_QUESTIONS[name]
    file = tmp_path / "bad.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_questions(file)


def test_the_language_of_questions(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "x=y.things.pt-br.json")
    assert name_retrieval_file(str(file)).language == "pt-br"
    assert name_retrieval_file(f"de={file}").language == "de"
    assert name_retrieval_file(f"de={file}").path == file
    with pytest.raises(OptionError, match=r"retrieval is .*; it must be LANGUAGE=FILE\.json, or a"):
        name_retrieval_file(str(write_questions(tmp_path / "things.json")))
    with pytest.raises(DataError, match=r"absent\.de\.json: there is no such file"):
        name_retrieval_file("absent.de.json")
