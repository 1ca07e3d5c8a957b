"""The facts of each boot, kept and shown."""
