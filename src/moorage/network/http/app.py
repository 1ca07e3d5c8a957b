"""The network's HTTP application: which path is answered by what."""

from typing import Any

import falcon.asgi

from moorage.domain.caller import Caller, works_for_another
from moorage.domain.errors import Conflict, NotFound, Unauthorized
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.kit import web
from moorage.network.http.bindings import Bindings
from moorage.network.http.dead_events import DeadEvents
from moorage.network.http.fixed import Agents, Extensions, Versions, Zones
from moorage.network.http.listing import Query
from moorage.network.http.quotas import AllQuotas, Quotas
from moorage.network.http.resource import EmptyList, Kind, Resource
from moorage.network.http.tags import Tags
from moorage.network.http.views import group_view, network_view, port_view, rule_view, subnet_view
from moorage.network.service import NetworkService
from moorage.seams.tokens import TokenVerifier
from moorage.wire import network as bodies
from moorage.wire.errors import HttpFault, network_error

App = falcon.asgi.App[web.Request, web.Response]


def make_app(service: NetworkService, verifier: TokenVerifier) -> App:
    """The application, to be mounted under /network."""

    async def authenticate(token: str) -> Caller:
        if not token:
            raise Unauthorized("The request you have made requires authentication.")
        try:
            return await verifier.verify(token)
        except NotFound:
            raise Unauthorized("The request you have made requires authentication.") from None

    app = web.make_app(
        authenticate=authenticate,
        render=network_error,
        is_open=lambda request: request.path in ("", "/", "/v2.0"),
        refused=HttpFault,
        works_for=works_for_another,
    )
    versions = Versions()
    app.add_route("/", versions)
    app.add_route("/v2.0", versions, suffix="resources")
    for path, kind in _kinds(service).items():
        _add(app, path, Resource(kind))
    for path, tags in _tags(service).items():
        app.add_route(f"/v2.0/{path}/{{thing}}/tags", tags)
        app.add_route(f"/v2.0/{path}/{{thing}}/tags/{{tag}}", tags, suffix="one")
    bindings = Bindings(service.ports)
    app.add_route("/v2.0/ports/{thing}/bindings", bindings)
    app.add_route("/v2.0/ports/{thing}/bindings/{host}", bindings, suffix="one")
    app.add_route("/v2.0/ports/{thing}/bindings/{host}/activate", bindings, suffix="activate")
    _add(app, "agents", Agents(service))
    _add(app, "extensions", Extensions())
    _add(app, "floatingips", EmptyList("floatingip", "floatingips"))
    _add(app, "routers", EmptyList("router", "routers"))
    quotas = Quotas(service)
    app.add_route("/v2.0/quotas/{project}", quotas)
    app.add_route("/v2.0/quotas", AllQuotas(service))
    app.add_route("/v2.0/quotas/{project}/default", quotas, suffix="default")
    app.add_route("/v2.0/quotas/{project}/details", quotas, suffix="details")
    app.add_route("/v2.0/quotas/{project}/details.json", quotas, suffix="details")
    app.add_route("/v2.0/availability_zones", Zones())
    app.add_route("/moorage/dead-events", DeadEvents(service.store))
    return app


def _add(app: App, path: str, resource: object) -> None:
    app.add_route(f"/v2.0/{path}", resource)
    app.add_route(f"/v2.0/{path}/{{thing}}", resource, suffix="one")


def _kinds(service: NetworkService) -> dict[str, Kind[Any]]:
    networks, subnets, ports, groups = service.networks, service.subnets, service.ports, service.groups

    async def find_networks(caller: Caller, query: Query) -> list[Network]:
        return list(await networks.all(caller, query.get("id")))

    async def find_subnets(caller: Caller, query: Query) -> list[Subnet]:
        return list(await subnets.all(caller, query.get("id"), query.get("network_id")))

    async def find_ports(caller: Caller, query: Query) -> list[Port]:
        return list(await ports.all(caller, query.get("id"), query.get("network_id"), query.get("device_id")))

    async def find_groups(caller: Caller, query: Query) -> list[SecurityGroup]:
        named = [*query.get("project_id", ()), *query.get("tenant_id", ())]
        return list(await groups.all(caller, query.get("id"), projects=named))

    async def find_rules(caller: Caller, query: Query) -> list[SecurityGroupRule]:
        return list(await groups.rules(caller))

    async def update_rule(caller: Caller, rule: str, _body: object, _revision: int | None) -> SecurityGroupRule:
        await groups.show_rule(caller, rule)
        raise Conflict("Rules are not changed: delete it, and make another.", kind="SecurityGroupRuleUpdate")

    async def delete_rule(caller: Caller, rule: str, _revision: int | None) -> None:
        await groups.delete_rule(caller, rule)

    return {
        "networks": Kind[Network](
            name="network",
            plural="networks",
            view=network_view,
            find=find_networks,
            show=networks.show,
            new=bodies.NetworkNew,
            edit=bodies.NetworkEdit,
            create=networks.create,
            update=networks.update,
            delete=networks.delete,
        ),
        "subnets": Kind[Subnet](
            name="subnet",
            plural="subnets",
            view=subnet_view,
            find=find_subnets,
            show=subnets.show,
            new=bodies.SubnetNew,
            edit=bodies.SubnetEdit,
            create=subnets.create,
            update=subnets.update,
            delete=subnets.delete,
        ),
        "ports": Kind[Port](
            name="port",
            plural="ports",
            view=port_view,
            find=find_ports,
            show=ports.show,
            new=bodies.PortNew,
            edit=bodies.PortEdit,
            create=ports.create,
            update=ports.update,
            delete=ports.delete,
        ),
        "security-groups": Kind[SecurityGroup](
            name="security_group",
            plural="security_groups",
            view=group_view,
            find=find_groups,
            show=groups.show,
            new=bodies.GroupNew,
            edit=bodies.GroupEdit,
            create=groups.create,
            update=groups.update,
            delete=groups.delete,
        ),
        "security-group-rules": Kind[SecurityGroupRule](
            name="security_group_rule",
            plural="security_group_rules",
            view=rule_view,
            find=find_rules,
            show=groups.show_rule,
            new=bodies.RuleNew,
            edit=bodies.GroupEdit,
            create=groups.create_rules,
            update=update_rule,
            delete=delete_rule,
        ),
    }


def _tags(service: NetworkService) -> dict[str, Tags]:
    store = service.store
    return {
        "networks": Tags(service.networks.show, store.update_network),
        "subnets": Tags(service.subnets.show, store.update_subnet),
        "ports": Tags(service.ports.show, store.update),
        "security-groups": Tags(service.groups.show, store.update_group),
    }
