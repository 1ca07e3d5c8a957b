"""What is shown of the network's things: pure functions from the domain to JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moorage.domain.agent import Agent, is_alive
from moorage.domain.caller import Caller
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Binding, Port
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.wire.times import spaced, zulu

View = Mapping[str, Any]


def network_view(network: Network, caller: Caller) -> View:
    view = {
        **_common(network),
        "status": "ACTIVE",
        "admin_state_up": network.admin_state_up,
        "shared": network.shared,
        "mtu": network.mtu,
        "subnets": list(network.subnets),
        "router:external": False,
        "port_security_enabled": network.port_security_enabled,
        "is_default": False,
        "availability_zones": [],
        "availability_zone_hints": [],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "l2_adjacency": True,
        "qos_policy_id": None,
    }
    if caller.is_service:
        segment = network.segments[0]
        view["provider:network_type"] = segment.network_type
        view["provider:physical_network"] = segment.physical_network
        view["provider:segmentation_id"] = segment.segmentation_id
    return view


def subnet_view(subnet: Subnet, caller: Caller) -> View:
    return {
        **_common(subnet),
        "network_id": subnet.network_id,
        "ip_version": subnet.ip_version,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway_ip,
        "allocation_pools": [{"start": pool.start, "end": pool.end} for pool in subnet.allocation_pools],
        "enable_dhcp": subnet.enable_dhcp,
        "dns_nameservers": list(subnet.dns_nameservers),
        "host_routes": [{"destination": one.destination, "nexthop": one.nexthop} for one in subnet.host_routes],
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "subnetpool_id": None,
        "service_types": [],
        "segment_id": None,
    }


def port_view(port: Port, caller: Caller) -> View:
    view = {
        **_common(port),
        "network_id": port.network_id,
        "mac_address": port.mac_address,
        "admin_state_up": port.admin_state_up,
        "status": port.status,
        "fixed_ips": [{"subnet_id": ip.subnet_id, "ip_address": ip.ip_address} for ip in port.fixed_ips],
        "device_id": port.device_id,
        "device_owner": port.device_owner,
        "security_groups": list(port.security_groups),
        "allowed_address_pairs": list(port.allowed_address_pairs),
        "extra_dhcp_opts": list(port.extra_dhcp_opts),
        "port_security_enabled": port.port_security_enabled,
        "binding:vnic_type": port.binding.vnic_type,
        "resource_request": None,
        "qos_policy_id": None,
        "propagate_uplink_status": True,
    }
    if caller.is_service:
        view["binding:host_id"] = port.binding.host or ""
        view["binding:vif_type"] = port.binding.vif_type
        view["binding:vif_details"] = port.binding.vif_details
        view["binding:profile"] = port.binding.profile
    return view


def binding_view(binding: Binding, port: Port) -> View:
    """One of a port's bindings, as the bindings API shows it."""
    return {
        "host": binding.host or "",
        "vif_type": binding.vif_type,
        "vif_details": binding.vif_details,
        "vnic_type": binding.vnic_type,
        "profile": binding.profile,
        "status": "ACTIVE",
        "project_id": port.project_id,
    }


def group_view(group: SecurityGroup, caller: Caller) -> View:
    return {
        **_common(group),
        "stateful": True,
        "shared": False,
        "security_group_rules": [rule_view(rule, caller) for rule in group.rules],
    }


def rule_view(rule: SecurityGroupRule, caller: Caller) -> View:
    return {
        "id": rule.id,
        "project_id": rule.project_id,
        "tenant_id": rule.project_id,
        "security_group_id": rule.group_id,
        "direction": rule.direction,
        "ethertype": rule.ethertype,
        "protocol": rule.protocol,
        "port_range_min": rule.port_range_min,
        "port_range_max": rule.port_range_max,
        "remote_ip_prefix": rule.remote_ip_prefix,
        "normalized_cidr": rule.remote_ip_prefix,
        "remote_group_id": rule.remote_group_id,
        "remote_address_group_id": None,
        "belongs_to_default_sg": False,
        "description": rule.description,
        "created_at": zulu(rule.created_at),
        "updated_at": zulu(rule.created_at),
        "revision_number": rule.revision_number,
        "tags": [],
    }


def agent_view(agent: Agent, now: datetime) -> View:
    return {
        "id": agent.id,
        "agent_type": "Open vSwitch agent",
        "binary": "neutron-openvswitch-agent",
        "host": agent.host,
        "topic": "N/A",
        "alive": is_alive(agent, now),
        "admin_state_up": agent.admin_state_up,
        "availability_zone": None,
        "configurations": {
            "bridge_mappings": {},
            "tunneling_ip": None,
            "devices": agent.devices,
            "devices_pending": agent.pending,
            "has_dhcp": agent.has_dhcp,
        },
        "created_at": spaced(agent.created_at),
        "started_at": spaced(agent.started_at),
        "heartbeat_timestamp": spaced(agent.heard_at),
        "description": agent.description or None,
        "resources_synced": None,
    }


def _common(thing: Network | Subnet | Port | SecurityGroup) -> dict[str, Any]:
    return {
        "id": thing.id,
        "name": thing.name,
        "description": thing.description,
        "project_id": thing.project_id,
        "tenant_id": thing.project_id,
        "created_at": zulu(thing.created_at),
        "updated_at": zulu(thing.updated_at),
        "revision_number": thing.revision_number,
        "tags": list(thing.tags),
    }
