"""Request bodies of the Compute API v2.1. Keys that came with a microversion are refused below it (see SINCE)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from moorage.wire.json import Body

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Metadata = dict[Annotated[str, Meta(min_length=1, max_length=255)], Annotated[str, Meta(max_length=255)]]
Number = int | str  # digits may come as a string
Tag = Annotated[str, Meta(min_length=1, max_length=60)]


class NamedGroup(Body):
    name: Name


class NetworkWanted(Body):
    """One NIC: on the network `uuid`, maybe with this address, or on an existing port."""

    uuid: str | UnsetType = UNSET
    port: str | UnsetType | None = UNSET
    fixed_ip: str | UnsetType = UNSET
    tag: Tag | UnsetType = UNSET


class BlockDevice(Body):
    """Only "boot from this image" is carried out; the other keys are read so as to say so clearly."""

    uuid: str | None = None
    boot_index: int | str | None = None
    source_type: str = "image"
    destination_type: str = "local"
    delete_on_termination: bool | str | None = None
    guest_format: str | None = None
    device_name: str | None = None
    device_type: str | None = None
    disk_bus: str | None = None
    volume_size: int | str | None = None
    volume_type: str | None = None
    volume_id: str | None = None
    snapshot_id: str | None = None
    image_id: str | None = None
    no_device: bool | str | None = None
    tag: str | None = None
    encrypted: bool | None = None


class ServerWanted(Body):
    name: Name
    flavor_ref: int | str = field(name="flavorRef")
    image_ref: str | UnsetType = field(name="imageRef", default=UNSET)
    networks: list[NetworkWanted] | Literal["auto", "none"] | UnsetType = UNSET
    admin_pass: str | UnsetType = field(name="adminPass", default=UNSET)
    metadata: Metadata = field(default_factory=dict)
    security_groups: list[NamedGroup] = field(default_factory=list)
    user_data: Annotated[str, Meta(max_length=65535)] | None = None
    key_name: str | None = None
    availability_zone: str | None = None
    min_count: Number = 1
    max_count: Number | UnsetType = UNSET
    config_drive: bool | str | None = None
    access_ip_v4: str | None = field(name="accessIPv4", default=None)
    access_ip_v6: str | None = field(name="accessIPv6", default=None)
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)
    block_devices: list[BlockDevice] = field(name="block_device_mapping_v2", default_factory=list)
    old_block_devices: list[Any] | UnsetType = field(name="block_device_mapping", default=UNSET)
    personality: list[dict[str, str]] | UnsetType = UNSET
    return_reservation_id: bool | str = False
    description: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    tags: Annotated[list[Tag], Meta(max_length=50)] | UnsetType = UNSET
    trusted_image_certificates: list[str] | UnsetType | None = UNSET
    host: str | UnsetType = UNSET
    hypervisor_hostname: str | UnsetType = UNSET
    hostname: Annotated[str, Meta(min_length=2, max_length=255)] | UnsetType = UNSET


class CreateServer(Body):
    server: ServerWanted
    hints: dict[str, Any] | UnsetType = field(name="os:scheduler_hints", default=UNSET)
    old_hints: dict[str, Any] | UnsetType = field(name="OS-SCH-HNT:scheduler_hints", default=UNSET)


# JSON keys of a new server that came (or went) with a microversion 2.N: first, last
SINCE: dict[str, tuple[int, int]] = {
    "personality": (1, 56),
    "description": (19, 999),
    "tags": (52, 999),
    "trusted_image_certificates": (63, 999),
    "host": (74, 999),
    "hypervisor_hostname": (74, 999),
    "hostname": (90, 999),
}


class ServerChange(Body):
    name: Name | UnsetType = UNSET
    access_ip_v4: str | UnsetType | None = field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | UnsetType | None = field(name="accessIPv6", default=UNSET)
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)
    description: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    hostname: Annotated[str, Meta(min_length=2, max_length=255)] | UnsetType = UNSET


class UpdateServer(Body):
    server: ServerChange


class Reboot(Body):
    type: str


class Rebuild(Body):
    image_ref: str = field(name="imageRef")
    name: Name | UnsetType = UNSET
    admin_pass: str | UnsetType = field(name="adminPass", default=UNSET)
    metadata: Metadata | UnsetType = UNSET
    preserve_ephemeral: bool | str | UnsetType = UNSET
    access_ip_v4: str | UnsetType | None = field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | UnsetType | None = field(name="accessIPv6", default=UNSET)
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)
    personality: list[dict[str, str]] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    key_name: Name | UnsetType | None = UNSET
    user_data: Annotated[str, Meta(max_length=65535)] | UnsetType | None = UNSET
    trusted_image_certificates: list[str] | UnsetType | None = UNSET
    hostname: Annotated[str, Meta(min_length=2, max_length=255)] | UnsetType = UNSET


# JSON keys of a rebuild that came (or went) with a microversion 2.N: first, last
REBUILD_SINCE: dict[str, tuple[int, int]] = {
    "personality": (1, 56),
    "key_name": (54, 999),
    "user_data": (57, 999),
    "trusted_image_certificates": (63, 999),
}


class ConsoleLength(Body):
    length: int | str | None = None


class ResetState(Body):
    state: Literal["active", "error"]


class Lock(Body):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


class MetadataBody(Body):
    metadata: Metadata


class MetaBody(Body):
    meta: Metadata


class TagsBody(Body):
    tags: Annotated[list[Tag], Meta(max_length=50)]


class FlavorWanted(Body):
    name: Name
    ram: Number
    vcpus: Number
    disk: Number
    id: int | str | None = None
    swap: Number | None = 0
    ephemeral: Number | None = field(name="OS-FLV-EXT-DATA:ephemeral", default=0)
    is_public: bool | str = field(name="os-flavor-access:is_public", default=True)
    rxtx_factor: float | str | None = 1.0
    description: Annotated[str, Meta(max_length=65535)] | UnsetType | None = UNSET


class CreateFlavor(Body):
    flavor: FlavorWanted


class FlavorChange(Body):
    description: Annotated[str, Meta(max_length=65535)] | None


class UpdateFlavor(Body):
    flavor: FlavorChange


class ExtraSpecs(Body):
    extra_specs: dict[
        Annotated[str, Meta(min_length=1, max_length=255)], Annotated[str, Meta(max_length=255)] | int | float
    ]


class TenantAccess(Body):
    tenant: Annotated[str, Meta(min_length=1)]


class KeypairWanted(Body):
    name: Name
    public_key: Annotated[str, Meta(min_length=1, max_length=16384)] | UnsetType = UNSET
    type: Literal["ssh", "x509"] | UnsetType = UNSET
    user_id: str | UnsetType = UNSET


class CreateKeypair(Body):
    keypair: KeypairWanted


class ServiceChange(Body):
    status: Literal["enabled", "disabled"] | UnsetType = UNSET
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    forced_down: bool | UnsetType = UNSET


class QuotaSetChange(Body):
    """Each field is a limit but `force`; of `tenant_id` nothing is taken: the URL says whose they are."""

    instances: Number | UnsetType = UNSET
    cores: Number | UnsetType = UNSET
    ram: Number | UnsetType = UNSET
    key_pairs: Number | UnsetType = UNSET
    metadata_items: Number | UnsetType = UNSET
    server_groups: Number | UnsetType = UNSET
    server_group_members: Number | UnsetType = UNSET
    fixed_ips: Number | UnsetType = UNSET
    floating_ips: Number | UnsetType = UNSET
    security_groups: Number | UnsetType = UNSET
    security_group_rules: Number | UnsetType = UNSET
    injected_files: Number | UnsetType = UNSET
    injected_file_content_bytes: Number | UnsetType = UNSET
    injected_file_path_bytes: Number | UnsetType = UNSET
    force: bool | str = False
    tenant_id: str | UnsetType = UNSET


class UpdateQuotas(Body):
    quota_set: QuotaSetChange


class EventWanted(Body):
    name: str
    server_uuid: str
    status: Literal["completed", "failed", "in-progress"] = "completed"
    tag: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET


class EventsWanted(Body):
    events: Annotated[list[EventWanted], Meta(min_length=1)]
