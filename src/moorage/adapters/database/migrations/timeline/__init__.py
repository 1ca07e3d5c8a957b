"""The migrations of the timeline's tables."""
