"""How services and hosts call the OpenStack APIs: in the same process without a socket, or over HTTP."""
