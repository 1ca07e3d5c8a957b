"""The network service: ports from bound to ready, and the news of it (hops ready, told)."""
