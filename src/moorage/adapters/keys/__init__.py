"""Keys made with the cryptography library."""
