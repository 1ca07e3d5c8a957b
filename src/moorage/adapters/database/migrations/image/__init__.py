"""The migrations of the image service's tables."""
