"""`e5-perf server-load`: a server under load, beside the library it serves and beside a peer."""
