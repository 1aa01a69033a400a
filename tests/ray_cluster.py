"""A Ray cluster of several nodes on this machine, by Ray's own utility for that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Before it is imported: nothing is to be sent anywhere.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A head that does no work, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
