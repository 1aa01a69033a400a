"""`e5-perf serve`: a server under load, beside the library it serves and beside a peer."""
