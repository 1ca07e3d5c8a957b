"""The seams fulfilled, one folder a technology."""
