"""DHCP by dnsmasq, one for each network (the Dhcp seam)."""
