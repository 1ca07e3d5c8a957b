"""Where adapters are put behind seams: configuration, and one file a process."""
