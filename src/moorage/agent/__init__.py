"""On each host: sees VIFs on the bridge, wires them and says so (hops seen, wired)."""
