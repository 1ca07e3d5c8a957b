"""The Network API as compute uses it (hop bound): the words of v2.0, which a real Neutron understands as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from moorage.adapters.http.session import Session
from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId, ProjectId, ServerId
from moorage.domain.port import ATTEMPT_KEY, GENERATION_KEY, MADE_KEY, NIC_KEY
from moorage.kit.translating import translating
from moorage.seams.network_api import GroupInfo, NetworkInfo, NetworkPort

_OURS = frozenset({GENERATION_KEY, ATTEMPT_KEY, NIC_KEY, MADE_KEY})
_MANY = 150  # ids in one query: a URL of some 7 KB


@dataclass(frozen=True)
class HttpNetworkApi:
    session: Session

    async def networks(
        self, *, ids: Sequence[NetworkId] | None = None, project: ProjectId | None = None
    ) -> Sequence[NetworkInfo]:
        if ids is not None:
            return [_network(found) for found in await self._list("networks", [("id", network) for network in ids])]
        own = await self._list("networks", [("tenant_id", project or ""), ("shared", "False")])
        shared = await self._list("networks", [("shared", "True")])
        return [_network(found) for found in (*own, *shared)]

    async def ports(
        self,
        *,
        ids: Sequence[PortId] | None = None,
        device: ServerId | None = None,
        host: HostName | None = None,
    ) -> Sequence[NetworkPort]:
        if ids is not None:
            batches = [ids[start : start + _MANY] for start in range(0, len(ids), _MANY)]
            return [
                _port(found) for batch in batches for found in await self._list("ports", [("id", i) for i in batch])
            ]
        query = [("binding:host_id", host)] if host is not None else [("device_id", device or "")]
        return [_port(found) for found in await self._list("ports", query)]

    async def security_groups(self, project: ProjectId, names: Sequence[str]) -> Sequence[GroupInfo]:
        found = await self._list("security-groups", [("tenant_id", project)])
        known = {group[key]: GroupInfo(group["id"], group["name"]) for key in ("name", "id") for group in found}
        for name in names:
            if name not in known:
                raise NotFound(f"Security group {name} not found for project {project}.")
        return [known[name] for name in names]

    async def live_agents(self) -> frozenset[HostName]:
        agents = await self._list("agents", [("alive", "True")])
        with translating({KeyError: Unavailable}, "reading the network's agents"):
            return frozenset(HostName(agent["host"]) for agent in agents if _is_l2(agent) and agent["alive"])

    async def create_port(
        self,
        *,
        network: NetworkId,
        project: ProjectId,
        device: ServerId,
        owner: str,
        host: HostName,
        profile: Mapping[str, Any],
        fixed_ip: str | None = None,
        security_groups: Sequence[str] | None = None,
    ) -> NetworkPort:
        port: dict[str, Any] = {
            "network_id": network,
            "project_id": project,
            "device_id": device,
            "device_owner": owner,
            "admin_state_up": True,
            "binding:host_id": host,
            "binding:profile": dict(profile),
        }
        if fixed_ip is not None:
            port["fixed_ips"] = [{"ip_address": fixed_ip}]
        if security_groups is not None:
            port["security_groups"] = list(security_groups)
        return _port((await self.session.json("POST", "/v2.0/ports", {"port": port}))["port"])

    async def bind_port(
        self, port: NetworkPort, *, device: ServerId, owner: str, host: HostName, profile: Mapping[str, Any]
    ) -> NetworkPort:
        merged = {**port.profile, **profile}
        return await self._put(
            port,
            {"device_id": device, "device_owner": owner, "binding:host_id": host, "binding:profile": merged},
        )

    async def set_groups(self, port: NetworkPort, groups: Sequence[str]) -> None:
        await self._put(port, {"security_groups": list(groups)})

    async def unbind_port(self, port: NetworkPort) -> None:
        kept = {key: value for key, value in port.profile.items() if key not in _OURS}
        await self._put(port, {"device_id": "", "device_owner": "", "binding:host_id": None, "binding:profile": kept})

    async def delete_port(self, port: NetworkPort) -> None:
        await self.session.json("DELETE", f"/v2.0/ports/{port.id}", headers=_if_match(port))

    async def _put(self, port: NetworkPort, change: Mapping[str, Any]) -> NetworkPort:
        answer = await self.session.json("PUT", f"/v2.0/ports/{port.id}", {"port": change}, headers=_if_match(port))
        return _port(answer["port"])

    async def _list(self, what: str, query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        answer = await self.session.json("GET", f"/v2.0/{what}?{urlencode(query)}")
        with translating({(KeyError, TypeError): Unavailable}, f"reading the network's {what}"):
            return list(answer[what.replace("-", "_")])


def _is_l2(agent: Mapping[str, Any]) -> bool:
    """Whether it wires ports: a real Neutron has agents of many kinds."""
    return bool(agent["binary"] == "neutron-openvswitch-agent")


def _if_match(port: NetworkPort) -> dict[str, str]:
    return {"If-Match": f"revision_number={port.revision}"}


def _port(found: Mapping[str, Any]) -> NetworkPort:
    with translating({(KeyError, TypeError): Unavailable}, "reading a port"):
        return NetworkPort(
            id=PortId(found["id"]),
            network=NetworkId(found["network_id"]),
            project=ProjectId(found.get("project_id") or found["tenant_id"]),
            mac=found["mac_address"],
            status=found["status"],
            admin_state_up=found["admin_state_up"],
            addresses=tuple(fixed["ip_address"] for fixed in found["fixed_ips"]),
            device_id=found["device_id"],
            device_owner=found["device_owner"],
            host=found.get("binding:host_id") or "",
            vif_type=found.get("binding:vif_type") or "unbound",
            profile=found.get("binding:profile") or {},
            security_groups=tuple(found.get("security_groups") or ()),
            revision=found.get("revision_number", 0),
        )


def _network(found: Mapping[str, Any]) -> NetworkInfo:
    with translating({(KeyError, TypeError): Unavailable}, "reading a network"):
        return NetworkInfo(
            id=NetworkId(found["id"]),
            name=found["name"],
            mtu=found.get("mtu") or 1500,
            project=ProjectId(found.get("project_id") or found["tenant_id"]),
            shared=bool(found.get("shared")),
            subnets=tuple(found.get("subnets") or ()),
        )
