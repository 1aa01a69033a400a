"""The machine: its CPU, its threads, its file system, and exit codes."""
