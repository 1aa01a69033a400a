"""SECURITY.md sentence by sentence: each has its tests, and they are those of `make security`."""

from __future__ import annotations

import ast
import json
import logging
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from our_source import ROOT, all_modules, parsed
from runtime_folders import flip, relist
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx import Embedder
from e5_onnx.errors import FingerprintError, InputError, TextTooLongError

TESTS = Path(__file__).parent
TABLE = tomllib.loads((TESTS / "security_proofs.toml").read_text("utf-8"))
PROOFS: dict[str, list[str]] = TABLE["proofs"]
ADVICE: list[str] = TABLE["advice"]["starts"]
PRIVATE = "xyzzy plugh"

# Libraries that can reach another machine.
CLIENTS = {
    "huggingface_hub",
    "urllib.request",
    "http.client",
    "requests",
    "httpx",
    "aiohttp",
    "socket",
    "mteb",
}


def sentences(page: str) -> list[str]:
    """What a page says: its sentences, and the rows of its tables; no headings and no code."""
    prose = re.sub(r"(?ms)^```.*?^```$", "", page)
    lines = [line for line in prose.splitlines() if line and not line.startswith(("#", "| ---"))]
    return [
        sentence
        for line in lines
        for sentence in ([line.strip("| ")] if line[0] == "|" else re.split(r"(?<=[.:?]) (?=[A-Z`])", line))
    ]


PAGE = sentences((ROOT / "SECURITY.md").read_text("utf-8"))


def test_sentences_and_rows_are_found() -> None:
    page = "# Title\n\nOne is `a. B`. Two.\n\n| a | b |\n| --- | --- |\n| x. Y | z |\n\n```\nNo. Code.\n```\n"
    assert sentences(page) == ["One is `a.", "B`.", "Two.", "a | b", "x. Y | z"]


@pytest.mark.parametrize("sentence", PAGE, ids=lambda sentence: sentence[:40])
def test_a_sentence_has_proofs_or_is_advice(sentence: str) -> None:
    starts = [start for start in (*PROOFS, *ADVICE) if sentence.startswith(start)]
    assert len(starts) == 1, f"{starts} in tests/security_proofs.toml begin this sentence"


@pytest.mark.parametrize("start", [*PROOFS, *ADVICE])
def test_a_row_of_the_table_has_its_sentence(start: str) -> None:
    assert [sentence for sentence in PAGE if sentence.startswith(start)]


def marked(file: Path) -> set[str]:
    """The test functions of a file that have the mark `security`."""
    module = parsed(file)
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    whole = [
        node
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    if any("mark.security" in ast.unparse(node.value) for node in whole):
        return {node.name for node in functions}
    return {
        node.name
        for node in functions
        if "pytest.mark.security" in [ast.unparse(decorator) for decorator in node.decorator_list]
    }


@pytest.mark.parametrize("proof", sorted({proof for proofs in PROOFS.values() for proof in proofs}))
def test_a_proof_is_there_and_marked(proof: str) -> None:
    file, name = proof.split("::")
    assert name in marked(TESTS / file)


def test_no_sentence_is_without_proof() -> None:
    assert all(PROOFS.values())


@pytest.mark.security
def test_no_library_of_operators_is_registered() -> None:
    assert not [file for file in all_modules() if "register_custom_op" in file.read_text("utf-8")]


@pytest.mark.security
def test_a_hard_link_is_read_as_a_file(tiny_folder_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").hardlink_to(tiny_folder_copy / "tokenizer.json")
    Embedder(tiny_folder_copy).close()


@pytest.mark.security
def test_only_a_pin_tells_who_made_a_folder(tiny_folder_copy: Path) -> None:
    with Embedder(tiny_folder_copy) as model:
        pin = model.fingerprint
    flip(tiny_folder_copy / "model.onnx.data", 20_000)
    relist(tiny_folder_copy, "model.onnx.data")
    Embedder(tiny_folder_copy, verify=True).close()
    with pytest.raises(FingerprintError):
        Embedder(tiny_folder_copy, fingerprint=pin)


def clients(file: Path) -> set[str]:
    nodes = list(ast.walk(parsed(file)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {client for client in CLIENTS for name in names if f"{name}.".startswith(f"{client}.")}


@pytest.mark.security
def test_only_these_modules_can_download() -> None:
    found = {str(file.relative_to(ROOT)): clients(file) for file in all_modules()}
    folders = {str(Path(name).parent) for name, used in found.items() if used - {"socket"}}
    assert folders == {
        "export/e5_onnx_export/checkpoint",
        "export/e5_onnx_export/hub",
        "perf/e5_onnx_perf",
        "perf/e5_onnx_perf/serve_load",  # asks its own server
    }
    listening = {name for name, used in found.items() if "socket" in used and name.startswith("runtime")}
    assert all(name.startswith("runtime/e5_onnx/serve/") for name in listening), listening


@pytest.mark.security
@pytest.mark.parametrize("kind", ["AutoModel", "AutoTokenizer"])
def test_code_of_a_checkpoint_is_never_run(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx_ir", reason="needs the [export] extra")
    from e5_onnx_export import ExportRequest, RecipeRequest, export
    from e5_onnx_export.errors import UnsupportedModelError

    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    shape = replace(XLM_ROBERTA, hidden=32, intermediate=64)
    source = write_checkpoint(tmp_path / "checkpoint", shape, tiny_weights(shape), tokenizer)
    (source / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    for name in ("config.json", "tokenizer_config.json"):
        values = json.loads((source / name).read_text("utf-8"))
        values["auto_map"] = {kind: "code.Own"}
        (source / name).write_text(json.dumps(values), "utf-8")
    request = ExportRequest(
        str(source), tmp_path / "out", recipe=RecipeRequest("e5-prefix"), reference="numpy"
    )
    if kind == "AutoModel":
        with pytest.raises(UnsupportedModelError, match="remote code is never run"):
            export(request)
    else:
        export(request)
    assert not (tmp_path / "ran").exists()
    trusting = re.compile(r"""trust_remote_code["']?\s*[=:]\s*True""")
    assert not [file for file in all_modules() if trusting.search(file.read_text("utf-8"))]


@pytest.mark.security
def test_texts_are_not_logged(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("starlette", reason="needs the [serve] extra")
    from served import Served

    with caplog.at_level(logging.DEBUG):
        served = Served(tiny_folder, default_role="query")
        assert served.post("/embed", inputs=PRIVATE).status_code == 200
        assert served.post("/embed", inputs=PRIVATE * 100, truncate=False).status_code == 422
        assert served.post("/embed", inputs=[PRIVATE, 7]).status_code == 422
        served.close()
    said = "".join(capfd.readouterr())
    assert caplog.records
    assert "xyzzy" not in said + str([vars(record) for record in caplog.records])


@pytest.mark.security
@pytest.mark.parametrize("given", [[PRIVATE * 100], ["a", PRIVATE + "\ud800"], [PRIVATE, 7]])
def test_errors_name_a_text_by_its_index(given: list[str], tiny_folder: Path) -> None:
    with (
        Embedder(tiny_folder, overflow="error") as model,
        pytest.raises((InputError, TextTooLongError), match=r"text \d") as caught,
    ):
        model.embed_documents(given)
    assert "xyzzy" not in str(caught.value)
