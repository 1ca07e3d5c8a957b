"""Identity's front door, in Keystone's words (v3)."""
