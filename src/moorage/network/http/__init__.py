"""The Network API v2.0 over HTTP."""
