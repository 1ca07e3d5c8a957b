"""Request bodies of the Network API (v2.0): what may be given, and what it may look like."""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from moorage.domain.errors import Invalid
from moorage.wire import json
from moorage.wire.json import Body

T = TypeVar("T")
Name = Annotated[str, Meta(max_length=255)]
NETWORK_BODY = 1_048_576  # bytes; a bulk request may hold hundreds of ports


class FixedIpBody(Body, kw_only=True):
    subnet_id: str | None = None
    ip_address: str | None = None


class PoolBody(Body, kw_only=True):
    start: str
    end: str


class RouteBody(Body, kw_only=True):
    destination: str
    nexthop: str


class AddressPairBody(Body, kw_only=True):
    ip_address: str
    mac_address: str | None = None


class DhcpOptionBody(Body, kw_only=True):
    opt_name: Annotated[str, Meta(min_length=1, max_length=64)]
    opt_value: Name | None = None
    ip_version: Literal[4, 6] = 4


class NetworkEdit(Body, kw_only=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    mtu: Annotated[int, Meta(ge=0, le=65535)] | UnsetType = UNSET
    is_external: bool | UnsetType = msgspec.field(default=UNSET, name="router:external")


class NetworkNew(NetworkEdit, kw_only=True):
    tenant_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    availability_zone_hints: list[str] | UnsetType = UNSET
    network_type: str | UnsetType | None = msgspec.field(default=UNSET, name="provider:network_type")
    physical_network: str | UnsetType | None = msgspec.field(default=UNSET, name="provider:physical_network")
    segmentation_id: int | UnsetType | None = msgspec.field(default=UNSET, name="provider:segmentation_id")


class SubnetEdit(Body, kw_only=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    gateway_ip: str | UnsetType | None = UNSET
    allocation_pools: list[PoolBody] | UnsetType = UNSET
    enable_dhcp: bool | UnsetType = UNSET
    dns_nameservers: list[str] | UnsetType = UNSET
    host_routes: list[RouteBody] | UnsetType = UNSET


class SubnetNew(SubnetEdit, kw_only=True):
    tenant_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    network_id: str
    cidr: str
    ip_version: int = 4
    ipv6_ra_mode: UnsetType | None = UNSET
    ipv6_address_mode: UnsetType | None = UNSET


class PortEdit(Body, kw_only=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    fixed_ips: list[FixedIpBody] | UnsetType | None = UNSET
    device_id: Name | UnsetType | None = UNSET
    device_owner: Name | UnsetType | None = UNSET
    security_groups: list[str] | UnsetType | None = UNSET
    allowed_address_pairs: Annotated[list[AddressPairBody], Meta(max_length=10)] | UnsetType | None = UNSET
    extra_dhcp_opts: list[DhcpOptionBody] | UnsetType | None = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    host_id: str | UnsetType | None = msgspec.field(default=UNSET, name="binding:host_id")
    vnic_type: str | UnsetType = msgspec.field(default=UNSET, name="binding:vnic_type")
    profile: dict[str, Any] | UnsetType | None = msgspec.field(default=UNSET, name="binding:profile")


class PortNew(PortEdit, kw_only=True):
    tenant_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    network_id: str


class BindingEdit(Body, kw_only=True):
    vnic_type: str | UnsetType = UNSET
    profile: dict[str, Any] | UnsetType | None = UNSET


class BindingNew(BindingEdit, kw_only=True):
    host: str


class GroupEdit(Body, kw_only=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    stateful: bool | UnsetType = UNSET


class GroupNew(GroupEdit, kw_only=True):
    tenant_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET


class RuleNew(Body, kw_only=True):
    tenant_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    security_group_id: str
    direction: str
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    description: Name = ""


class AgentEdit(Body, kw_only=True):
    admin_state_up: bool | UnsetType = UNSET
    description: Name | UnsetType | None = UNSET


Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]


class QuotaEdit(Body, kw_only=True):
    """Limits by resource; of the project's id nothing is taken: the URL says whose they are."""

    network: Limit | UnsetType = UNSET
    subnet: Limit | UnsetType = UNSET
    port: Limit | UnsetType = UNSET
    security_group: Limit | UnsetType = UNSET
    security_group_rule: Limit | UnsetType = UNSET
    router: Limit | UnsetType = UNSET
    floatingip: Limit | UnsetType = UNSET
    subnetpool: Limit | UnsetType = UNSET
    rbac_policy: Limit | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET
    force: bool | UnsetType = UNSET


class TagsBody(Body, kw_only=True):
    tags: list[Annotated[str, Meta(min_length=1, max_length=255)]]


def read(raw: bytes, kind: type[T]) -> T:
    """`raw` as a `kind`; numbers and booleans may come as text, as some clients send them. Raises Invalid."""
    try:
        return msgspec.json.decode(raw, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(_reworded(str(error)), kind="HTTPBadRequest") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The request body is not JSON that can be read: {error}", kind="HTTPBadRequest") from error


def read_one(raw: bytes, name: str, kind: type[T]) -> T:
    """The body {name: …}. Raises Invalid."""
    outer = json.read(raw, dict[str, msgspec.Raw])
    if list(outer) != [name]:
        raise Invalid(f"Unable to find '{name}' in request body", kind="HTTPBadRequest")
    return read(bytes(outer[name]), kind)


def read_new(raw: bytes, name: str, plural: str, kind: type[T]) -> tuple[list[T], bool]:
    """What shall be made, by {name: …} or {plural: […]}, and whether it was the second. Raises Invalid."""
    outer = json.read(raw, dict[str, msgspec.Raw])
    if list(outer) != [plural]:
        return [read_one(raw, name, kind)], False
    many = json.read(bytes(outer[plural]), list[msgspec.Raw])
    if not many:
        raise Invalid("Resources required", kind="HTTPBadRequest")
    return [_read_either(bytes(one), name, kind) for one in many], True


def _read_either(raw: bytes, name: str, kind: type[T]) -> T:
    """One of many, which some clients put into an envelope of its own."""
    is_enveloped = raw.lstrip()[:1] == b"{" and list(json.read(raw, dict[str, msgspec.Raw])) == [name]
    return read_one(raw, name, kind) if is_enveloped else read(raw, kind)


def given(body: Any) -> dict[str, Any]:
    """The fields of a body that the request has, by our names."""
    return {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}


def project_given(body: Any) -> str | None:
    """The project that a request names, by either word."""
    for value in (body.project_id, body.tenant_id):
        if value is not UNSET:
            return str(value)
    return None


def _reworded(message: str) -> str:
    unknown = re.search(r"unknown field `([^`]+)`", message)
    return f"Unrecognized attribute(s) '{unknown[1]}'" if unknown else f"Invalid input: {message}"
