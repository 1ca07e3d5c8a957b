"""A world of our own: the holder (the only privileged code) and its client, which is the World seam."""
