"""Every error the integrations raise on purpose; their root is the runtime's.

e5_onnx.E5Error
└── IntegrationError
    ├── MixedVectorsError   (ValueError)   a store already holds another model's vectors
    └── DocumentTypeError   (TypeError)    something else where documents of a library belong
"""

from __future__ import annotations

from e5_onnx.errors import E5Error


class IntegrationError(E5Error):
    """Something is wrong with how another library and a model are put together."""


class MixedVectorsError(IntegrationError, ValueError):
    def __init__(self, place: str, *, held: str, offered: str) -> None:
        self.place, self.held, self.offered = place, held, offered
        super().__init__(
            f"{place} holds vectors of the model with fingerprint {held}, this model's is {offered}: they "
            "cannot be compared; open the model that they were made with, or embed everything again elsewhere"
        )


class DocumentTypeError(IntegrationError, TypeError):
    def __init__(self, found: type, instead: str) -> None:
        self.found, self.instead = found, instead
        super().__init__(f"a document is {found.__name__}, not Document: {instead}")
