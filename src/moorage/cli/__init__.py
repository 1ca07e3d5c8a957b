"""The `moorage` command: one file a command, each importing what it runs only when it runs."""
