"""On each host: brings servers up and takes them down (hops bound, plugged, woken, running)."""
