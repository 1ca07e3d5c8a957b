"""The Compute API v2.1 over HTTP: routes, bodies in, views out."""
