"""The migrations of the identity service's tables."""
