"""What users and compute do with ports: make, bind, change, delete (hop bound)."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

from moorage.domain.agent import is_alive
from moorage.domain.caller import Caller
from moorage.domain.dhcp import addresses_of, readdressed
from moorage.domain.errors import Conflict, Exhausted, Forbidden, Invalid, NotFound
from moorage.domain.ids import HostName, NetworkId, PortId, SubnetId
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network
from moorage.domain.port import Port, is_bound, rebound, set_admin_state
from moorage.network.access import owner_of_new, require_owner, seen_by
from moorage.network.dhcp import DhcpServers
from moorage.network.facts import facts_of
from moorage.network.group_news import GroupNews, groups_to_tell
from moorage.network.neighbours import Neighbours
from moorage.network.networks import Networks
from moorage.network.security_groups import SecurityGroups
from moorage.seams.clock import Clock
from moorage.seams.network_store import NetworkStore, NewPort, PortRule, as_it_is
from moorage.seams.timeline import Timeline
from moorage.wire.network import AddressPairBody, FixedIpBody, PortEdit, PortNew, given, project_given

BINDING = ("host_id", "vnic_type", "profile")
FOR_SERVICES = ("host_id", "profile")
FOR_NETWORK_OWNERS = frozenset({"mac_address", "port_security_enabled", "allowed_address_pairs"})
VNIC_TYPES = frozenset(
    {"normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa"}
    | {"remote-managed", "accelerator-direct", "accelerator-direct-physical"}
)
LONGEST_PROFILE = 4095  # characters of JSON
MAC_TRIES = 16  # among 1,000 ports of a network, one made address in 16,000 meets another
MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")  # no multicast


@dataclass(frozen=True)
class Ports:
    store: NetworkStore
    clock: Clock
    timeline: Timeline
    neighbours: Neighbours
    group_news: GroupNews
    networks: Networks
    groups: SecurityGroups
    dhcp: DhcpServers
    new_id: Callable[[], str]
    new_mac: Callable[[], str]

    async def all(
        self,
        caller: Caller,
        ids: Collection[str] | None = None,
        networks: Collection[str] | None = None,
        devices: Collection[str] | None = None,
    ) -> Sequence[Port]:
        return await self.store.ports(
            seen_by(caller),
            ids=None if ids is None else [PortId(one) for one in ids],
            networks=None if networks is None else [NetworkId(one) for one in networks],
            devices=devices,
        )

    async def show(self, caller: Caller, port: str) -> Port:
        found = await self.all(caller, [port])
        if not found:
            raise NotFound(f"Port {port} could not be found.", kind="PortNotFound")
        return found[0]

    async def create(self, caller: Caller, bodies: Sequence[PortNew]) -> Sequence[Port]:
        for port in (ports := await self._created(caller, bodies)):
            await self._tell(None, port)
        return ports

    async def _created(self, caller: Caller, bodies: Sequence[PortNew]) -> Sequence[Port]:
        for _ in range(MAC_TRIES):
            try:
                return await self.store.create_ports([await self._new(caller, body) for body in bodies])
            except Conflict as error:
                if error.kind != "MacAddressInUse" or any("mac_address" in given(body) for body in bodies):
                    raise
        raise Exhausted(f"Unable to generate unique mac on network {bodies[0].network_id}.", kind="MacAddressInUse")

    async def update(self, caller: Caller, port: str, body: PortEdit, if_revision: int | None) -> Port:
        found = await self.show(caller, port)
        network = (await self.store.networks(None, ids=[found.network_id]))[0]
        fields = self._allowed(caller, network, body)
        await self._check_groups(found, fields)
        if "mac_address" in fields and fields["mac_address"] != found.mac_address and is_bound(found):
            raise Conflict(
                f"Unable to complete operation on port {port}, port is already bound, port type: "
                f"{found.binding.vif_type}, old_mac {found.mac_address}, new_mac {fields['mac_address']}.",
                kind="PortBound",
            )
        addresses = _addresses(fields.pop("fixed_ips")) if "fixed_ips" in fields else None
        edit = _editing(fields)
        readdress = as_it_is if addresses is None else await self._readdressing(network, found)
        bind = await self._binding(network, found.binding.host, fields)
        changed = await self.store.update(
            found.id, lambda before: bind(edit(readdress(before))), if_revision=if_revision, addresses=addresses
        )
        await self._tell(changed.before, changed.after)
        return changed.after

    async def delete(self, caller: Caller, port: str, if_revision: int | None) -> None:
        found = await self.show(caller, port)
        if found.device_owner.startswith("network:router"):
            raise Conflict(
                f"Port {port} cannot be deleted directly via the port API: it has device owner {found.device_owner}.",
                kind="ServicePortInUse",
            )
        gone = await self.store.delete_port(found.id, if_revision=if_revision)
        await self._tell(gone, None)

    async def _new(self, caller: Caller, body: PortNew) -> NewPort:
        network = await self.networks.show(caller, body.network_id)
        project = owner_of_new(caller, project_given(body))
        fields = self._allowed(caller, network, body)
        for known in ("network_id", "tenant_id", "project_id"):
            fields.pop(known, None)
        addresses = _addresses(fields.pop("fixed_ips")) if "fixed_ips" in fields else None
        now = self.clock.now()
        port = Port(
            id=PortId(self.new_id()),
            network_id=network.id,
            project_id=project,
            mac_address=self.new_mac(),
            created_at=now,
            updated_at=now,
            port_security_enabled=network.port_security_enabled,
        )
        await self._check_groups(port, fields)
        port = _editing(fields)(port)
        wants_default = port.port_security_enabled and not port.device_owner.startswith("network:")
        if "security_groups" not in fields and wants_default:
            port = replace(port, security_groups=((await self.groups.default(project)).id,))
        return NewPort(port, addresses, then=await self._binding(network, None, fields))

    async def _binding(self, network: Network, bound_to: HostName | None, fields: Mapping[str, Any]) -> PortRule:
        """The rule that binds a port as these fields of a request say; those not given stay. A host "" unbinds."""
        wanted = {name: fields[name] for name in BINDING if name in fields}
        if not wanted:
            return as_it_is
        if "profile" in wanted:
            wanted["profile"] = wanted["profile"] or {}
            if len(json.dumps(wanted["profile"])) > LONGEST_PROFILE:
                raise Invalid("Invalid binding:profile: it is too long.", kind="InvalidInput")
        if wanted.get("vnic_type", "normal") not in VNIC_TYPES:
            raise Invalid(f"'{wanted['vnic_type']}' is no vnic_type.", kind="InvalidInput")
        host = HostName(wanted["host_id"]) if wanted.get("host_id") else None
        if "host_id" not in wanted:
            host = bound_to
        now = self.clock.now()
        agents = await self.store.agents(hosts=[host]) if host is not None else ()
        agent = next((agent for agent in agents if is_alive(agent, now)), None)
        subnets = await self.store.subnets(None, networks=[network.id])
        served = [subnet for subnet in subnets if subnet.enable_dhcp]
        with_dhcp = {subnet.id for subnet in served}
        if host is not None and agent is not None and agent.has_dhcp and served:
            await self.dhcp.server(host, network, served)  # before a guest may take the last address

        def bind(port: Port) -> Port:
            if "host_id" not in wanted and port.binding.host != host:
                raise Conflict(f"Port {port.id} was bound elsewhere meanwhile: read it again.", kind="Conflict")
            serves = agent is not None and agent.has_dhcp
            return rebound(
                port,
                host,
                wanted.get("profile", port.binding.profile),
                vnic_type=wanted.get("vnic_type", port.binding.vnic_type),
                is_reachable=agent is not None,
                segment=network.segments[0],
                needs_dhcp=serves and any(ip.subnet_id in with_dhcp for ip in port.fixed_ips),
                now=now,
            )

        return bind

    async def _readdressing(self, network: Network, found: Port) -> PortRule:
        """The rule for a port whose addresses may have become others than those of `found`."""
        host = found.binding.host
        agents = await self.store.agents(hosts=[host]) if host is not None else ()
        has_server = any(agent.has_dhcp for agent in agents)
        subnets = await self.store.subnets(None, networks=[network.id])
        served = {subnet.id for subnet in subnets if subnet.enable_dhcp}

        def readdress(port: Port) -> Port:
            is_same = addresses_of(port) == addresses_of(found)
            return port if is_same else readdressed(port, served, has_server=has_server)

        return readdress

    async def _check_groups(self, port: Port, fields: dict[str, Any]) -> None:
        """Raises what speaks against the groups and address pairs of a request; NotFound for a group unknown here."""
        is_secure = fields.get("port_security_enabled", port.port_security_enabled)
        groups = fields.get("security_groups")
        if groups:
            if len(set(groups)) < len(groups):
                raise Invalid(f"Invalid input for security_groups: '{groups}' has one of them twice.")
            groups = fields["security_groups"] = tuple(groups)
            known = {group.id for group in await self.store.groups(port.project_id, ids=groups)}
            for group in groups:
                if group not in known:
                    raise NotFound(f"Security group {group} does not exist", kind="SecurityGroupNotFound")
        if not is_secure and groups:
            raise Invalid(
                "Port security must be enabled on the port to use security groups.",
                kind="PortSecurityAndIPRequiredForSecurityGroups",
            )
        if not is_secure and groups is None and port.security_groups:
            raise Conflict(
                "Port has security group associated. Cannot disable port security or ip address until security group "
                "is removed.",
                kind="PortSecurityPortHasSecurityGroup",
            )
        if not is_secure and fields.get("allowed_address_pairs"):
            raise Conflict(
                "Port Security must be enabled in order to have allowed address pairs on a port.",
                kind="AddressPairAndPortSecurityRequired",
            )

    def _allowed(self, caller: Caller, network: Network, body: PortEdit) -> dict[str, Any]:
        """The fields given. Raises Forbidden for those that are not this caller's to give, Invalid for nonsense."""
        fields = given(body)
        if not caller.is_service:
            for name in FOR_SERVICES:
                if name in fields:
                    raise Forbidden(f"Policy doesn't allow setting binding:{name}.", kind="PolicyNotAuthorized")
            if (fields.get("device_owner") or "").startswith("network:"):
                raise Forbidden("Policy doesn't allow a device_owner of network:*.", kind="PolicyNotAuthorized")
        if FOR_NETWORK_OWNERS & fields.keys() or any(ip.ip_address for ip in fields.get("fixed_ips") or ()):
            require_owner(caller, network.project_id, "choosing addresses on another project's network")
        if "mac_address" in fields:
            fields["mac_address"] = _mac(fields["mac_address"])
        for name, read in (("allowed_address_pairs", _pair), ("extra_dhcp_opts", given)):
            if fields.get(name):
                fields[name] = [read(one) for one in fields[name]]
        return fields

    async def _tell(self, before: Port | None, after: Port | None) -> None:
        """The timeline and the agents."""
        if after is not None:
            for fact in facts_of(before, after, wall=self.clock.now(), monotonic=self.clock.monotonic()):
                self.timeline.tell(fact)
        await self.neighbours.tell_changed(before, after)
        await self.group_news.tell(groups_to_tell(before, after))


def _editing(fields: Mapping[str, Any]) -> PortRule:
    """The rule that sets a request's fields, all but binding and addresses."""
    plain = {name: value for name, value in fields.items() if name not in BINDING and name != "admin_state_up"}
    for name in ("device_id", "device_owner"):
        if name in plain:
            plain[name] = plain[name] or ""
    for name in ("security_groups", "allowed_address_pairs", "extra_dhcp_opts"):
        if name in plain:
            plain[name] = tuple(plain[name] or ())

    def edit(port: Port) -> Port:
        return set_admin_state(replace(port, **plain), fields.get("admin_state_up", port.admin_state_up))

    return edit


def _addresses(fixed_ips: Sequence[FixedIpBody] | None) -> tuple[AddressWanted, ...]:
    return tuple(
        AddressWanted(None if ip.subnet_id is None else SubnetId(ip.subnet_id), ip.ip_address) for ip in fixed_ips or ()
    )


def _pair(body: AddressPairBody) -> dict[str, str]:
    """Who else a port may send as. Raises Invalid."""
    try:
        network = ip_network(body.ip_address, strict=False)
    except ValueError:
        raise Invalid(f"'{body.ip_address}' is not a valid IP address or network.", kind="InvalidInput") from None
    pair = {"ip_address": str(network if "/" in body.ip_address else network.network_address)}
    return pair if body.mac_address is None else {**pair, "mac_address": _mac(body.mac_address)}


def _mac(text: str) -> str:
    mac = text.lower().replace("-", ":")
    if not MAC.fullmatch(mac):
        raise Invalid(f"'{text}' is not a valid MAC address.", kind="InvalidInput")
    return mac
