"""The bridge as its database has it: which rows are a port's, and what the agent sees of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.adapters.ovsdb.replica import Replica, Row
from moorage.adapters.ovsdb.values import Kind
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId
from moorage.seams.switch import Interface, Vif, WirePlan

COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "Open_vSwitch": {"bridges": Kind.SET, "cur_cfg": Kind.ONE},
    "Bridge": {"name": Kind.ONE, "ports": Kind.SET, "datapath_type": Kind.ONE, "fail_mode": Kind.OPTIONAL},
    "Port": {"name": Kind.ONE, "interfaces": Kind.SET, "tag": Kind.OPTIONAL, "other_config": Kind.MAP},
    "Interface": {
        "name": Kind.ONE,
        "type": Kind.ONE,
        "ofport": Kind.OPTIONAL,
        "error": Kind.OPTIONAL,
        "external_ids": Kind.MAP,
    },
}
FIRST_OFPORT, LAST_OFPORT = 1, 65279  # ovs-vswitchd.conf.db(5): above are the reserved ones, below -1 for an error
WIRED_WITHOUT_GENERATION = "-"


@dataclass(frozen=True)
class Rows:
    """An Interface row, the Port row that it belongs to, and their UUIDs."""

    interface: str
    port: str
    interface_row: Row
    port_row: Row

    @property
    def external_ids(self) -> Mapping[str, str]:
        found: Any = self.interface_row["external_ids"]
        ids: Mapping[str, str] = found
        return ids

    @property
    def name(self) -> str:
        return str(self.interface_row["name"])

    @property
    def port_id(self) -> PortId | None:
        found = self.external_ids.get("iface-id")
        return PortId(found) if found else None

    @property
    def generation(self) -> Generation | None:
        found = self.external_ids.get("plug-generation")
        return Generation(found) if found else None

    @property
    def ofport(self) -> int | None:
        found = self.interface_row["ofport"]
        return found if isinstance(found, int) and FIRST_OFPORT <= found <= LAST_OFPORT else None

    @property
    def vlan(self) -> int | None:
        found = self.port_row["tag"]
        return found if isinstance(found, int) else None

    @property
    def network(self) -> NetworkId | None:
        found: Any = self.port_row["other_config"]
        return NetworkId(found["net-uuid"]) if "net-uuid" in found else None

    @property
    def is_service(self) -> bool:
        return self.external_ids.get("moorage-service") == "true"


def mark_of(plan: WirePlan) -> str:
    """What is written into `moorage-wired` when the plan was carried out."""
    return plan.generation or WIRED_WITHOUT_GENERATION


def is_tagged(plan: WirePlan, rows: Rows) -> bool:
    """Whether the port has the plan's VLAN and network already."""
    return (rows.vlan, rows.network) == (plan.vlan, plan.network)


def is_marked(plan: WirePlan, rows: Rows) -> bool:
    """Whether it is written already that the plan was carried out."""
    return rows.external_ids.get("moorage-wired") == mark_of(plan)


def why_not(plan: WirePlan, rows: Rows | None) -> str | None:
    """Why the plan does not fit the port as it is, None when it does."""
    if rows is None:
        return "it is not on the bridge"
    return plan.misfit(rows.generation, rows.ofport)


def carried_out(replica: Replica) -> int:
    """The latest configuration that ovs-vswitchd has carried out; 0, as at first, is left out of the row."""
    found: list[Any] = [row["cur_cfg"] for row in replica.tables["Open_vSwitch"].values()]
    return max((int(number or 0) for number in found), default=0)


def uuid_of(replica: Replica, bridge: str) -> str | None:
    """The Bridge row of that name."""
    for uuid, row in replica.tables["Bridge"].items():
        if row["name"] == bridge:
            return uuid
    return None


def on(replica: Replica, bridge: str) -> Iterator[Rows]:
    """Every interface on the bridge."""
    uuid = uuid_of(replica, bridge)
    if uuid is None:
        return
    interfaces, ports = replica.tables["Interface"], replica.tables["Port"]
    members: Any = replica.tables["Bridge"][uuid]["ports"]
    for port in members:
        if port not in ports:  # not told yet
            continue
        of_port: Any = ports[port]["interfaces"]
        for interface in of_port:
            if interface in interfaces:
                yield Rows(interface, port, interfaces[interface], ports[port])


def vif(rows: Rows) -> Vif | None:
    """The VIF of a server that compute plugged, as it was."""
    ids = rows.external_ids
    if rows.port_id is None or rows.generation is None or rows.is_service:
        return None
    return Vif(
        port=rows.port_id,
        server=ServerId(ids.get("vm-uuid", "")),
        mac=ids.get("attached-mac", ""),
        device=rows.name,
        generation=rows.generation,
    )


def interface(port: PortId, rows: Rows, sent: tuple[int | None, str] | None) -> Interface:
    """What the agent sees. `sent` is for which ofport and generation flows stand in the switch, as far as we know."""
    ids = rows.external_ids
    mark = ids.get("moorage-wired")
    wired = mark if mark is not None and sent == (rows.ofport, mark) else None
    if rows.is_service and rows.ofport is not None:
        wired = WIRED_WITHOUT_GENERATION
    error = rows.interface_row["error"]
    return Interface(
        port=port,
        device=rows.name,
        mac=ids.get("attached-mac", ""),
        ofport=rows.ofport,
        vlan=rows.vlan,
        generation=rows.generation,
        wired=wired,
        network=rows.network,
        error=str(error) if error else None,
        is_service=rows.is_service,
    )
