"""Plain files: a private key, images' data."""
