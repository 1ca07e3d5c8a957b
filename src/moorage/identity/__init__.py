"""Tokens and the catalog; who there is."""
