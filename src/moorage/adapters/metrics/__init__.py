"""Numbers about the running, for Prometheus: the Metrics seam."""
