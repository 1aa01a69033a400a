from __future__ import annotations

import os
import struct
import subprocess
import sys
import unicodedata
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from golden_tokens import GoldenTokens, golden_tokens, real_tokenizer_json
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import write_plain_tiny_tokenizer, write_tiny_bert_tokenizer

from e5_onnx import Embedder, TokenizerChoice, opening
from e5_onnx.errors import MissingExtraError, ModelLoadError, OptionError
from e5_onnx.model_folder.manifest import (
    LEAN_TOKENIZER_NAME,
    TOKENIZER_NAME,
    Architecture,
    FileEntry,
    LeanProof,
    Manifest,
    Parity,
    Source,
)
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, Template
from e5_onnx.tokens import lean_tokenizer
from e5_onnx.tokens.full_tokenizer import FullTokenizer
from e5_onnx.tokens.lean_tokenizer import (
    DOUBTFUL,
    LeanTokenizer,
    installed_version,
    keeps_apart,
    open_lean,
    write_lean,
)
from e5_onnx.tokens.opening import open_tokenizer
from e5_onnx.tokens.tokenization import TextTokenizer, TokenizedText

needs_tokie = pytest.mark.skipif(
    find_spec("tokie") is None, reason="tokie, the [lean] extra, is not installed"
)

TEMPLATES = (
    Template(),
    E5_PREFIX.template("query"),
    E5_INSTRUCT.template("query"),
    E5_INSTRUCT.template("query", "Find </s>\u0301 \x01 <mask>"),
    Template("", " end"),
    Template("a ", "\n\tend "),
)
# What hypothesis would seldom write by itself.
ODDITIES = (
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "  ", "\r\n", "e\u0301", "ｶﾞ", "क्षि", "👨‍👩‍👧", "🇫🇷", "the "),
    *"▁ \n\t\u3000\xa0\u200b\x01\x1a\x7f\x9f\x85\u0301ﬁ㍿Ａ",
)
TEXTS = st.lists(st.one_of(st.text(max_size=20), st.sampled_from(ODDITIES)), max_size=12).map("".join)


def folder_of(path: Path, *, lean: bool = True) -> Path:
    write_plain_tiny_tokenizer(path / TOKENIZER_NAME)
    if lean:
        write_lean(path)
    return path


def manifest_with(proof: LeanProof | None, *files: str) -> Manifest:
    return Manifest(
        source=Source("tiny", None, None, "0" * 64),
        architecture=Architecture("bert", 1, 16, 4, 40, 300, 32, 0, 1e-12),
        dimension=16,
        max_tokens=32,
        recipe=E5_PREFIX,
        pooling="mean",
        precision="fp32",
        onnxruntime_min="1.30",
        files={name: FileEntry(1, "0" * 64) for name in files},
        parity=Parity(checked=False, reference="none"),
        tools={},
        lean_tokenizer=proof,
    )


def proved() -> Manifest:
    return manifest_with(LeanProof("tokie", installed_version(), 1), LEAN_TOKENIZER_NAME)


def parts(text: TokenizedText) -> tuple[list[int], list[int], list[int]]:
    return text.head.tolist(), text.body.tolist(), text.tail.tolist()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny_pair(tiny: Path) -> tuple[FullTokenizer, LeanTokenizer]:
    return FullTokenizer(tiny / TOKENIZER_NAME), open_lean(tiny)


@pytest.fixture(scope="module")
def real_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[FullTokenizer, LeanTokenizer]:
    folder = tmp_path_factory.mktemp("real")
    (folder / TOKENIZER_NAME).write_bytes(real_tokenizer_json().read_bytes())
    write_lean(folder)
    return FullTokenizer(folder / TOKENIZER_NAME), open_lean(folder)


# The same tokens.


@needs_tokie
@settings(derandomize=True, deadline=None, max_examples=500)
@given(TEXTS, st.sampled_from(TEMPLATES))
def test_tokie_gives_the_tokens_of_tokenizers(
    tiny_pair: tuple[TextTokenizer, TextTokenizer], text: str, template: Template
) -> None:
    full, lean = tiny_pair
    assert parts(lean.tokenize(text, template)) == parts(full.tokenize(text, template))


@needs_tokie
@pytest.mark.real
@settings(derandomize=True, deadline=None, max_examples=3000)
@given(TEXTS, st.sampled_from(TEMPLATES))
def test_tokie_gives_the_tokens_of_the_real_tokenizer(
    real_pair: tuple[TextTokenizer, TextTokenizer], text: str, template: Template
) -> None:
    full, lean = real_pair
    assert parts(lean.tokenize(text, template)) == parts(full.tokenize(text, template))


@needs_tokie
@pytest.mark.real
@pytest.mark.parametrize("golden", golden_tokens(), ids=lambda golden: golden.kind)
def test_tokie_gives_the_tokens_of_transformers(
    real_pair: tuple[TextTokenizer, TextTokenizer], golden: GoldenTokens
) -> None:
    full, lean = real_pair
    tokenized = lean.tokenize(golden.text, golden.template)
    assert tokenized.ids.tolist() == golden.ids
    assert parts(tokenized) == parts(full.tokenize(golden.text, golden.template))


@needs_tokie
@pytest.mark.real
@pytest.mark.parametrize(
    ("text", "special"),
    [
        ("\x01", []),
        ("\x1a\x1a", []),
        ("<s>\x05\x08<mask>", [0, 250001]),
        ("\x9f</s>", [2]),
        ("</s>\x0b", [2]),
    ],
)
def test_segments_that_the_normaliser_leaves_out_make_no_token(
    real_pair: tuple[TextTokenizer, TextTokenizer], text: str, special: list[int]
) -> None:
    # tokie by itself makes a blank token of each.
    assert real_pair[1].tokenize(text, Template()).body.tolist() == special


@needs_tokie
@pytest.mark.real
@pytest.mark.parametrize("context", ["e\u0301{}", "{}e\u0301", "\u00a0{}"])
def test_characters_new_in_unicode_get_the_tokens_of_the_full_tokenizer(
    real_pair: tuple[TextTokenizer, TextTokenizer], context: str
) -> None:
    full, lean = real_pair
    for char in filter(DOUBTFUL.match, map(chr, range(0x20000))):
        text = context.format(char)
        assert parts(lean.tokenize(text, Template())) == parts(full.tokenize(text, Template()))


@needs_tokie
def test_texts_with_doubtful_characters_go_to_the_full_tokenizer(tiny: Path) -> None:
    lean = open_lean(tiny)
    lean.tokenize("the river", Template())
    assert lean._full is None
    texts = ["the \u1acf", "\U0001e6e3"]
    threads = [Thread(target=lean.tokenize, args=(text, Template())) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = lean._full
    assert isinstance(first, FullTokenizer)
    lean.tokenize("\u0897", Template())
    assert lean._full is first


@needs_tokie
def test_a_bert_tokenizer_has_its_own_special_tokens(tmp_path: Path) -> None:
    full = FullTokenizer(write_tiny_bert_tokenizer(tmp_path / TOKENIZER_NAME))
    write_lean(tmp_path)
    for text in ("the river", "", "river " * 100):
        assert parts(open_lean(tmp_path).tokenize(text, TEMPLATES[1])) == parts(
            full.tokenize(text, TEMPLATES[1])
        )


@needs_tokie
@pytest.mark.parametrize("template", [Template("find \u0897 "), Template("", " \U0001e6e3 end")])
def test_doubtful_characters_of_a_template_go_there_too(tmp_path: Path, template: Template) -> None:
    full = FullTokenizer(write_tiny_bert_tokenizer(tmp_path / TOKENIZER_NAME))
    write_lean(tmp_path)
    lean = open_lean(tmp_path)
    assert parts(lean.tokenize("the river", template)) == parts(full.tokenize("the river", template))
    # tokie knows the character, and this vocabulary's normaliser does not.
    rendered = template.before + "the river" + template.after
    assert lean._encode(rendered) != full.tokenize(rendered, Template()).body.tolist()


@needs_tokie
def test_controls_that_the_full_tokenizer_leaves_out_are_kept_from_tokie(tmp_path: Path) -> None:
    full = FullTokenizer(write_tiny_bert_tokenizer(tmp_path / TOKENIZER_NAME))
    write_lean(tmp_path)
    lean = open_lean(tmp_path)
    controls = [char for char in map(chr, range(1, 0x100)) if unicodedata.category(char) == "Cc"]
    plain = parts(full.tokenize("ab", Template()))
    dropped = [char for char in controls if parts(full.tokenize(f"a{char}b", Template())) == plain]
    assert {"\x01", "\x7f", "\x80", "\x9f"} <= set(dropped)
    dropped.remove("\x7f")  # tokie makes a token of it, for which the exporter's proof refuses such a folder
    assert [char for char in controls if not lean._vanishing.sub("", char)] == dropped
    assert all(parts(lean.tokenize(char, Template())) == ([2], [], [3]) for char in dropped)


# Templates.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        *((template, True) for template in TEMPLATES),
        (Template(" ", " "), True),
        (Template("query:"), False),
        (Template("", ")"), False),
        (Template("(", ")"), False),
        (Template("a\u00a0"), False),
    ],
)
def test_templates_that_keep_the_text_apart(template: Template, *, expected: bool) -> None:
    assert keeps_apart(template) is expected


# What is opened.


@needs_tokie
@pytest.mark.parametrize(
    ("choice", "name"), [("auto", "tokie"), ("tokie", "tokie"), ("tokenizers", "tokenizers")]
)
def test_a_proved_folder_opens_what_was_chosen(tiny: Path, choice: TokenizerChoice, name: str) -> None:
    tokenizer = open_tokenizer(tiny, proved(), choice)
    assert tokenizer.name == name
    assert len(tokenizer.tokenize("the river", Template())) == 4


@pytest.mark.parametrize(
    "manifest",
    [
        manifest_with(None, LEAN_TOKENIZER_NAME),
        manifest_with(LeanProof("tokie", "0.1.4", 1)),
        manifest_with(LeanProof("another", "0.1.4", 1), LEAN_TOKENIZER_NAME),
    ],
)
def test_without_a_proof_tokie_is_not_used(tmp_path: Path, manifest: Manifest) -> None:
    folder = folder_of(tmp_path, lean=False)
    assert open_tokenizer(folder, manifest, "auto").name == "tokenizers"
    with pytest.raises(ModelLoadError, match=r"tokenizer\.tokie .* choose tokenizer='tokenizers', or export"):
        open_tokenizer(folder, manifest, "tokie")


@needs_tokie
def test_another_version_than_the_proved_one_is_not_used(tiny: Path) -> None:
    manifest = replace(proved(), lean_tokenizer=LeanProof("tokie", "0.0.9", 1))
    assert open_tokenizer(tiny, manifest, "auto").name == "tokenizers"
    with pytest.raises(
        ModelLoadError, match=r"proved with tokie 0\.0\.9 and .* `pip install tokie==0\.0\.9`"
    ):
        open_tokenizer(tiny, manifest, "tokie")


def test_without_tokie_the_other_library_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, lean=False)
    manifest = manifest_with(LeanProof("tokie", "0.1.4", 1), LEAN_TOKENIZER_NAME)
    monkeypatch.setitem(sys.modules, "tokie", None)
    lean_tokenizer.installed_version.cache_clear()
    assert open_tokenizer(folder, manifest, "auto").name == "tokenizers"
    with pytest.raises(MissingExtraError, match=r"tokie is not installed: `pip install 'e5-onnx\[lean\]'`"):
        open_tokenizer(folder, manifest, "tokie")


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="tokenizer is 'fast'; it must be one of auto, tokenizers, tokie"):
        open_tokenizer(tmp_path, manifest_with(None), "fast")  # type: ignore[arg-type]


# Bad files.


@needs_tokie
@pytest.mark.parametrize("choice", ["auto", "tokie"])
@pytest.mark.parametrize("size", [0, 4, 3000, -1])
def test_a_damaged_file_is_refused(tmp_path: Path, choice: TokenizerChoice, size: int) -> None:
    path = folder_of(tmp_path) / LEAN_TOKENIZER_NAME
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelLoadError, match=r"tokenizer\.tokie cannot be loaded: .*copy the folder again"):
        open_tokenizer(tmp_path, proved(), choice)


@needs_tokie
def test_an_offset_beyond_the_file_is_refused(tmp_path: Path) -> None:
    # tokie panics, which is not an Exception.
    path = folder_of(tmp_path) / LEAN_TOKENIZER_NAME
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 48, 0xFFFFFFFF)
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"tokenizer\.tokie cannot be loaded: .*out of range"):
        open_lean(tmp_path)


@needs_tokie
def test_a_tokenizer_without_known_special_tokens_is_refused(tmp_path: Path) -> None:
    path = folder_of(tmp_path, lean=False) / TOKENIZER_NAME
    path.write_text(path.read_text("utf-8").replace("</s>", "<|end|>"), "utf-8")
    write_lean(tmp_path)
    with pytest.raises(ModelLoadError, match=r"neither <s> and </s> nor \[CLS\] and \[SEP\]"):
        open_lean(tmp_path)


@needs_tokie
def test_what_tokie_does_not_understand_is_refused(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_NAME).write_text("{}", "utf-8")
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json cannot be loaded"):
        write_lean(tmp_path)


# Light.


_USE = """
import sys
from pathlib import Path
from e5_onnx.tokens.lean_tokenizer import open_lean
from e5_onnx.recipes import Template

def threads():
    task = Path("/proc/self/task")
    return len(list(task.iterdir())) if task.exists() else 0

lean = open_lean(Path(sys.argv[1]))
before = threads()
lean.tokenize("the river " * 20_000, Template("query: ", " end"))
print(threads() - before, "tokenizers" in sys.modules)
lean.tokenize("\\u1acf", Template())
print("tokenizers" in sys.modules)
"""


@needs_tokie
def test_tokie_starts_no_threads_and_does_not_load_the_other_library(tiny: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _USE, str(tiny)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.stdout.split() == ["0", "False", "True"]


@pytest.mark.security
@pytest.mark.parametrize("vouched", ["verify", "fingerprint"])
def test_what_vouches_for_the_tokenizer_does_not_let_tokie_stand_in(
    vouched: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Embedder(tiny_folder) as model:
        options = {"verify": True} if vouched == "verify" else {"fingerprint": model.fingerprint}
    asked: list[str] = []
    real = open_tokenizer

    def noted(folder: Path, manifest: Manifest, choice: TokenizerChoice) -> TextTokenizer:
        asked.append(choice)
        return real(folder, manifest, choice)

    monkeypatch.setattr(opening, "open_tokenizer", noted)
    Embedder(tiny_folder, **options).close()
    Embedder(tiny_folder).close()
    assert asked == ["tokenizers", "auto"]
    with pytest.raises(OptionError, match="beside verify or fingerprint, which do not cover"):
        Embedder(tiny_folder, tokenizer="tokie", **options)
