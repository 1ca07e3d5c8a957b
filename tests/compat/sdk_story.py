"""Run in .venv-compat: a server's life through openstacksdk's cloud layer, told as JSON."""

import json
import sys

import openstack  # type: ignore[import-not-found]

cloud = openstack.connect()
name = sys.argv[1]
made = cloud.create_server(name, image="moorage-guest", flavor="m1.tiny", network="private", wait=True, auto_ip=False)
listed = [server for server in cloud.list_servers(detailed=True) if server.id == made.id]
ports = list(cloud.network.ports(device_id=made.id))
told = {
    "status": made.status,
    "vm_state": made.vm_state,
    "private_v4": made.private_v4,
    "addresses": made.addresses,
    "listed": [{"name": server.name, "private_v4": server.private_v4} for server in listed],
    "ports": [{"status": port.status, "ip": port.fixed_ips[0]["ip_address"]} for port in ports],
    "default_microversion": cloud.compute.default_microversion,
    "is_deleted": cloud.delete_server(made.id, wait=True),
    "is_deleted_again": cloud.delete_server(made.id, wait=True),
    "is_found_later": cloud.get_server(made.id) is not None,
    "ports_later": len(list(cloud.network.ports(device_id=made.id))),
}
print(json.dumps(told))
