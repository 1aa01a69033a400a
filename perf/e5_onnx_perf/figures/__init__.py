"""The figures of a model folder beside others: load, memory, latency, throughput."""
