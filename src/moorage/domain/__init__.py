"""The rules of the cloud as values and pure functions: no clock, no randomness, no I/O."""
