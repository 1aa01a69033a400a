"""What the runtime warns of."""

from __future__ import annotations

from pathlib import Path


class TruncationWarning(UserWarning):
    """Texts were cut to what the model takes; one warning a call counts them."""

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        super().__init__(
            f"{count} text{'s were' if count > 1 else ' was'} cut to the model's {limit} tokens: split long "
            "texts, or choose overflow='window' for documents, 'error' to be stopped, 'truncate' to hide this"
        )


class CacheWarning(UserWarning):
    """Packed weights could not be cached; the model works without."""

    def __init__(self, root: Path, reason: str) -> None:
        self.root, self.reason = root, reason
        super().__init__(f"the cache {root} cannot be used, the model takes more memory without it: {reason}")
