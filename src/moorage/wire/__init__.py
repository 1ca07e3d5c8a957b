"""What travels: bus messages and OpenStack's JSON, kept apart from the domain so that either can change alone."""
