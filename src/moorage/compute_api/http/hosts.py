"""/os-hypervisors, /os-services, /os-availability-zone: the hosts, for admins."""

from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from moorage.compute_api import listing
from moorage.compute_api.host_view import hypervisor_summary, hypervisor_view, service_view, statistics, uptime
from moorage.compute_api.http.edge import (
    caller_of,
    eye_of,
    minor_of,
    next_link,
    only_from,
    only_keys,
    only_until,
    query_of,
    read_body,
)
from moorage.compute_api.service import ComputeApiService
from moorage.compute_api.wanted import ZONE
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.ids import HostName
from moorage.kit.web import Request, Response, send
from moorage.seams.server_store import ComputeHost, ServerQuery
from moorage.wire.compute import ServiceChange
from moorage.wire.times import bare

POLICY = "os_compute_api:os-hypervisors"


@dataclass(frozen=True)
class Hypervisors:
    service: ComputeApiService
    is_detail: bool = False

    async def on_get(self, request: Request, response: Response) -> None:
        caller_of(request).require_admin(POLICY)
        eye, query = eye_of(request), query_of(request)
        hosts = list(await self.service.store.hosts())
        has_servers, is_more = False, False
        if eye.minor >= 53:
            pattern = listing.last(query, "hypervisor_hostname_pattern")
            if pattern is not None:
                if "limit" in query or "marker" in query:
                    raise Invalid(
                        "Paging over hypervisors with the hypervisor_hostname_pattern query is not supported."
                    )
                hosts = [host for host in hosts if pattern in host.state.name]
                if not hosts:
                    raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
            has_servers = listing.is_flag(query, "with_servers")
        if eye.minor >= 33:
            marker, limit = listing.last(query, "marker"), listing.limit_of(query)
            if marker is not None:
                index = next((i for i, host in enumerate(hosts) if marker in {host.uuid, str(host.number)}), None)
                if index is None:
                    raise Invalid(f"marker [{marker}] not found")
                hosts = hosts[index + 1 :]
            is_more, hosts = len(hosts) > limit, hosts[:limit]
        now = self.service.clock.now()
        view = hypervisor_view if self.is_detail else hypervisor_summary
        views = [view(host, eye, now) for host in hosts]
        if has_servers:
            for host, shown in zip(hosts, views, strict=True):
                shown["servers"] = await servers_on(self.service, host)
        body: dict[str, Any] = {"hypervisors": views}
        if is_more and hosts:
            last = hosts[-1].uuid if eye.minor >= 53 else str(hosts[-1].number)
            body["hypervisors_links"] = [next_link(request, last)]
        send(response, body)


async def servers_on(service: ComputeApiService, host: ComputeHost) -> list[dict[str, str]]:
    servers = await service.store.list(ServerQuery(host=host.state.name))
    return [{"uuid": server.id, "name": f"instance-{server.id[:8]}"} for server in servers]


async def found(service: ComputeApiService, request: Request, hypervisor: str) -> ComputeHost:
    """The host by the id of this microversion. Raises NotFound."""
    for host in await service.store.hosts():
        if hypervisor == (host.uuid if minor_of(request) >= 53 else str(host.number)):
            return host
    raise NotFound(f"Hypervisor with ID '{hypervisor}' could not be found.")


@dataclass(frozen=True)
class OneHypervisor:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, hypervisor: str) -> None:
        caller_of(request).require_admin(POLICY)
        host = await found(self.service, request, hypervisor)
        view = hypervisor_view(host, eye_of(request), self.service.clock.now())
        if minor_of(request) >= 53 and listing.is_flag(query_of(request), "with_servers"):
            view["servers"] = await servers_on(self.service, host)
        send(response, {"hypervisor": view})


@dataclass(frozen=True)
class HypervisorStatistics:
    """Until 2.87."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        only_until(request, 87)
        caller_of(request).require_admin(POLICY)
        send(response, {"hypervisor_statistics": statistics(await self.service.store.hosts())})


@dataclass(frozen=True)
class HypervisorUptime:
    """Until 2.87."""

    service: ComputeApiService

    async def on_get(self, request: Request, response: Response, hypervisor: str) -> None:
        only_until(request, 87)
        caller_of(request).require_admin(POLICY)
        host, now = await found(self.service, request, hypervisor), self.service.clock.now()
        view = hypervisor_summary(host, eye_of(request), now)
        send(response, {"hypervisor": {**view, "uptime": uptime(host, now)}})


@dataclass(frozen=True)
class HypervisorSearch:
    """Until 2.52: hosts by a part of their name, with or without their servers."""

    service: ComputeApiService
    has_servers: bool = False

    async def on_get(self, request: Request, response: Response, hypervisor: str) -> None:
        only_until(request, 52)
        caller_of(request).require_admin(POLICY)
        eye, now = eye_of(request), self.service.clock.now()
        hosts = [host for host in await self.service.store.hosts() if hypervisor in host.state.name]
        if not hosts:
            raise NotFound(f"No hypervisor matching '{hypervisor}' could be found.")
        views = [hypervisor_summary(host, eye, now) for host in hosts]
        if self.has_servers:
            for host, view in zip(hosts, views, strict=True):
                servers = await servers_on(self.service, host)
                if servers:
                    view["servers"] = servers
        send(response, {"hypervisors": views})


@dataclass(frozen=True)
class Services:
    service: ComputeApiService

    async def on_get(self, request: Request, response: Response) -> None:
        caller_of(request).require_admin("os_compute_api:os-services:list")
        only_keys(request, "host binary")
        eye, query, now = eye_of(request), query_of(request), self.service.clock.now()
        host, binary = listing.last(query, "host"), listing.last(query, "binary")
        hosts = [
            known
            for known in await self.service.store.hosts()
            if host in (None, known.state.name) and binary in (None, "nova-compute")
        ]
        send(response, {"services": [service_view(known, eye, now) for known in hosts]})


@dataclass(frozen=True)
class OneService:
    """PUT from 2.53 on."""

    service: ComputeApiService

    async def on_put(self, request: Request, response: Response, service: str) -> None:
        only_from(request, 53)
        caller_of(request).require_admin("os_compute_api:os-services:update")
        change = await read_body(request, ServiceChange)
        reason = change.disabled_reason if isinstance(change.disabled_reason, str) else None
        if isinstance(change.status, UnsetType) and isinstance(change.forced_down, UnsetType):
            raise Invalid("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
        if reason is not None and change.status != "disabled":
            raise Invalid("Specifying disabled_reason requires that status is 'disabled'.")
        if change.forced_down is True:
            raise Invalid("Hosts are not forced down here: one that is silent for 10 s is down.")
        by_uuid = await self._by_uuid(service)
        is_enabled = by_uuid.state.is_enabled if isinstance(change.status, UnsetType) else change.status == "enabled"
        await self.service.store.set_enabled(service, is_enabled=is_enabled, reason=reason)
        view = service_view(await self._by_uuid(service), eye_of(request), self.service.clock.now())
        send(response, {"service": view})

    async def _by_uuid(self, service: str) -> ComputeHost:
        for host in await self.service.store.hosts():
            if host.uuid == service:
                return host
        raise NotFound(f"Service {service} could not be found.")


@dataclass(frozen=True)
class Zones:
    service: ComputeApiService
    is_detail: bool = False

    async def on_get(self, request: Request, response: Response) -> None:
        hosts: dict[HostName, Any] | None = None
        if self.is_detail:
            caller_of(request).require_admin("os_compute_api:os-availability-zone:detail")
            now = self.service.clock.now()
            hosts = {
                host.state.name: {
                    "nova-compute": {
                        "available": host.state.is_alive(now),
                        "active": host.state.is_enabled,
                        "updated_at": bare(host.state.heard_at),
                    }
                }
                for host in await self.service.store.hosts()
            }
        zone = {"zoneName": ZONE, "zoneState": {"available": True}, "hosts": hosts}
        send(response, {"availabilityZoneInfo": [zone]})
