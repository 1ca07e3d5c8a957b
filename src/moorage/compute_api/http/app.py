"""The ASGI application of the Compute API: its routes, and who may pass."""

from collections.abc import Mapping

import falcon.asgi

from moorage.compute_api.http.edge import Microversions
from moorage.compute_api.http.events import ExternalEvents
from moorage.compute_api.http.flavors import (
    FlavorAccess,
    FlavorActions,
    Flavors,
    FlavorSpecs,
    OneFlavor,
    OneFlavorSpec,
)
from moorage.compute_api.http.hosts import (
    Hypervisors,
    HypervisorSearch,
    HypervisorStatistics,
    HypervisorUptime,
    OneHypervisor,
    OneService,
    Services,
    Zones,
)
from moorage.compute_api.http.keypairs import Keypairs, OneKeypair
from moorage.compute_api.http.labels import Metadata, OneMetadata, OneTag, Tags
from moorage.compute_api.http.quotas import AbsoluteLimits, EmptyList, QuotaDefaults, QuotaDetail, QuotaSet
from moorage.compute_api.http.server_actions import Actions
from moorage.compute_api.http.server_parts import (
    Addresses,
    InstanceActions,
    Interfaces,
    NetworkAddresses,
    OneInstanceAction,
    OneInterface,
    ServerGroups,
    Volumes,
)
from moorage.compute_api.http.servers import OneServer, Servers, ServersDetail
from moorage.compute_api.http.versions import OldVersion, OneVersion, Versions
from moorage.compute_api.service import ComputeApiService
from moorage.domain.caller import Caller, works_for_another
from moorage.domain.errors import NotFound, Unauthorized
from moorage.kit import web
from moorage.kit.web import Request, Response
from moorage.seams.tokens import TokenVerifier
from moorage.wire.errors import HttpFault, compute_error

OPEN_PATHS = frozenset({"/", "", "/v2", "/v2.1"})


def make_app(service: ComputeApiService, verifier: TokenVerifier) -> falcon.asgi.App[Request, Response]:
    """The application, to be mounted at /compute or to stand alone."""

    async def authenticate(token: str) -> Caller:
        if token:
            try:
                return await verifier.verify(token)
            except NotFound as error:
                raise Unauthorized("The request you have made requires authentication.") from error
        raise Unauthorized("The request you have made requires authentication.")

    app = web.make_app(
        authenticate=authenticate,
        render=compute_error,
        is_open=lambda request: request.path in OPEN_PATHS,
        refused=HttpFault,
        also_id=("x-compute-request-id",),
        middleware=(Microversions(),),
        works_for=works_for_another,
    )
    for path, resource in routes(service).items():
        app.add_route(path, resource)
    return app


def routes(service: ComputeApiService) -> Mapping[str, object]:
    """Every path that is served."""
    below_v2 = {
        "servers": Servers(service),
        "servers/detail": ServersDetail(service),
        "servers/{server}": OneServer(service),
        "servers/{server}/action": Actions(service),
        "servers/{server}/metadata": Metadata(service),
        "servers/{server}/metadata/{key}": OneMetadata(service),
        "servers/{server}/tags": Tags(service),
        "servers/{server}/tags/{tag}": OneTag(service),
        "servers/{server}/ips": Addresses(service),
        "servers/{server}/ips/{network}": NetworkAddresses(service),
        "servers/{server}/os-interface": Interfaces(service),
        "servers/{server}/os-interface/{port}": OneInterface(service),
        "servers/{server}/os-instance-actions": InstanceActions(service),
        "servers/{server}/os-instance-actions/{action}": OneInstanceAction(service),
        "servers/{server}/os-security-groups": ServerGroups(service),
        "servers/{server}/os-volume_attachments": Volumes(service),
        "flavors": Flavors(service),
        "flavors/detail": Flavors(service, is_detail=True),
        "flavors/{flavor}": OneFlavor(service),
        "flavors/{flavor}/action": FlavorActions(service),
        "flavors/{flavor}/os-flavor-access": FlavorAccess(service),
        "flavors/{flavor}/os-extra_specs": FlavorSpecs(service),
        "flavors/{flavor}/os-extra_specs/{key}": OneFlavorSpec(service),
        "os-keypairs": Keypairs(service),
        "os-keypairs/{name}": OneKeypair(service),
        "os-hypervisors": Hypervisors(service),
        "os-hypervisors/detail": Hypervisors(service, is_detail=True),
        "os-hypervisors/statistics": HypervisorStatistics(service),
        "os-hypervisors/{hypervisor}": OneHypervisor(service),
        "os-hypervisors/{hypervisor}/uptime": HypervisorUptime(service),
        "os-hypervisors/{hypervisor}/search": HypervisorSearch(service),
        "os-hypervisors/{hypervisor}/servers": HypervisorSearch(service, has_servers=True),
        "os-services": Services(service),
        "os-services/{service}": OneService(service),
        "os-availability-zone": Zones(service),
        "os-availability-zone/detail": Zones(service, is_detail=True),
        "limits": AbsoluteLimits(service),
        "os-quota-sets/{project}": QuotaSet(service),
        "os-quota-sets/{project}/defaults": QuotaDefaults(service),
        "os-quota-sets/{project}/detail": QuotaDetail(service),
        "os-server-groups": EmptyList("server_groups"),
        "os-aggregates": EmptyList("aggregates", is_for_admins=True),
        "os-server-external-events": ExternalEvents(service),
    }
    return {
        "/": Versions(),
        "/v2": OldVersion(),
        "/v2.1": OneVersion(),
        **{f"/v2.1/{path}": it for path, it in below_v2.items()},
    }
