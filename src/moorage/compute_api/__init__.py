"""Compute API: the rows of servers, where they are placed, and the front door of the handshake (hops asked, heard)."""
