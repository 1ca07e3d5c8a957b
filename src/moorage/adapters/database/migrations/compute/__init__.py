"""The migrations of the compute API's tables."""
