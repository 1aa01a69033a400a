"""Wrong keys are answered more and more slowly; right ones never are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

# Wrong keys that an address may send at once, and how many a second it gets back.
_BURST: Final = 10.0
_A_SECOND: Final = 1.0
_ADDRESSES: Final = 1024
# Held back at once; who comes then is answered without delay, so that the held do not take all connections.
_HELD: Final = 16
_DELAY_S: Final = 1.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Throttle:
    """How many wrong keys each address has sent lately. For one event loop."""

    def __init__(self, clock: Callable[[], float], delay_s: float = _DELAY_S) -> None:
        """Nobody has sent any.

        Args:
            clock: Seconds that never run backwards.
            delay_s: How long an answer is held back.
        """
        self._clock, self._delay_s = clock, delay_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._held = 0

    async def wrong_key(self, address: str) -> bool:
        """Notes a wrong key and holds its answer back if there were many.

        Args:
            address: The client's address. All clients behind a proxy share one, which is why a right key is
                not asked for its address.

        Returns:
            Whether there were too many.
        """
        if self._take(_network(address)):
            return False
        if self._held < _HELD:
            self._held += 1
            try:
                await asyncio.sleep(self._delay_s)
            finally:
                self._held -= 1
        return True

    def _take(self, network: str) -> bool:
        now = self._clock()
        bucket = self._buckets.setdefault(network, _Bucket(_BURST, now))
        self._buckets.move_to_end(network)
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        bucket.left = min(_BURST, bucket.left + (now - bucket.at) * _A_SECOND)
        bucket.at = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True


def _network(address: str) -> str:
    """Whom an address belongs to: of IPv6, everybody has 2^64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return found.exploded.rsplit(":", 4)[0]
    return str(found)
