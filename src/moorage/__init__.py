"""Moorage: boots a virtual machine only when its network is proven ready."""

__version__ = "0.1.0"
