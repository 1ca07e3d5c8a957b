"""Guests that are network namespaces (the Hypervisor seam): real networking, hundreds of them on a small machine."""
