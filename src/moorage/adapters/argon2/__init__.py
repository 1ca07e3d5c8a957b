"""Passwords hashed by Argon2id."""
