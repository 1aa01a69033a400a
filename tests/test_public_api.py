"""What users call changes only with a change of tests/data/public_api.txt, which a review sees."""

from __future__ import annotations

from public_api import LISTING, listing


def test_the_public_surface_is_the_committed_one() -> None:
    expected = LISTING.read_text("utf-8")
    assert listing().splitlines() == expected.splitlines(), "if so intended: python tests/public_api.py"


def test_the_listing_has_what_scripts_call() -> None:
    found = listing()
    for part in (
        "e5_onnx.Embedder()\n  __init__(self, folder: ",
        "  embed_documents(self, texts: TextOrTexts) -> NDArray[np.float32]\n",
        "e5_onnx.Role = Literal['query', 'document', 'raw']\n",
        "e5_onnx.bulk.run_bulk(job: Job, ",
        "e5_onnx.integrations.langchain.E5Embeddings(Embeddings)\n",
        "e5 serve\n",
        "  --text-column",
        "e5-export card\n",
    ):
        assert part in found
