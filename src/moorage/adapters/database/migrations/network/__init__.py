"""The migrations of the network's tables."""
