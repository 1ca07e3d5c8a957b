"""Images: what guests boot from."""
