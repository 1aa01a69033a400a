"""Token ids to vectors: the session, batches, worker threads and kernels."""
