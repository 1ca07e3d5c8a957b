"""The seams in memory: a whole cloud in one process, with latencies and faults as settings."""
