"""The operations of our transactions, as values (RFC 7047, section 5.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.adapters.ovsdb.bridge import Rows, is_tagged, mark_of
from moorage.adapters.ovsdb.client import Operation, Result
from moorage.adapters.ovsdb.values import map_of, named, set_of, uuid
from moorage.domain.ids import NetworkId, PortId
from moorage.seams.switch import DEAD_VLAN, Vif, WirePlan

_OF_SYSTEM = {"type": "", "mac": set_of([])}  # an Interface whose device the switch finds


def make_bridge(root: str | None, name: str, datapath_type: str, fail_mode: str) -> list[Operation]:
    """`root` is the one row of Open_vSwitch, if there is one yet."""
    insert: list[Operation] = [
        _insert("Interface", "interface", {"name": name, "type": "internal"}),
        _insert("Port", "port", {"name": name, "interfaces": named("interface")}),
        _insert(
            "Bridge",
            "bridge",
            {"name": name, "datapath_type": datapath_type, "fail_mode": fail_mode, "ports": named("port")},
        ),
    ]
    if root is None:
        return [*insert, _insert("Open_vSwitch", "root", {"bridges": named("bridge")})]
    mutation = ["bridges", "insert", set_of([named("bridge")])]
    return [*insert, {"op": "mutate", "table": "Open_vSwitch", "where": _is(root), "mutations": [mutation]}]


def set_bridge(bridge: str, datapath_type: str, fail_mode: str) -> list[Operation]:
    return [_update("Bridge", _is(bridge), {"datapath_type": datapath_type, "fail_mode": fail_mode})]


def external_ids(vif: Vif) -> dict[str, str]:
    """What is written into the Interface row: Nova's words (os-vif, `create_ovs_vif_port`), and our generation."""
    return {
        "iface-id": vif.port,
        "iface-status": "active",
        "attached-mac": vif.mac,
        "vm-uuid": vif.server,
        "plug-generation": vif.generation,
    }


def service_ids(port: PortId, mac: str) -> dict[str, str]:
    return {"iface-id": port, "iface-status": "active", "attached-mac": mac, "moorage-service": "true"}


def add_port(bridge: str, device: str, ids: Mapping[str, str], port: Mapping[str, Any]) -> list[Operation]:
    """Insert a port with one interface, whose device exists already."""
    interface = {"name": device, "external_ids": map_of(ids), **_OF_SYSTEM}
    mutation = ["ports", "insert", set_of([named("port")])]
    return [
        _insert("Interface", "interface", interface),
        _insert("Port", "port", {"name": device, "interfaces": named("interface"), **port}),
        {"op": "mutate", "table": "Bridge", "where": _is(bridge), "mutations": [mutation]},
    ]


def change_port(rows: Rows, ids: Mapping[str, str], port: Mapping[str, Any]) -> list[Operation]:
    """Make an existing port what `add_port` would have made; results count 0 where a row is gone."""
    return [
        _update("Interface", _is(rows.interface), {"external_ids": map_of(ids), **_OF_SYSTEM}),
        _update("Port", _is(rows.port), dict(port)),
    ]


def unwired(vif: Vif) -> dict[str, Any]:
    """A Port row as it is when plugged. It too carries the generation, so that only that generation's tag is set."""
    return {
        "tag": DEAD_VLAN,
        "other_config": map_of({}),
        "external_ids": map_of({"iface-id": vif.port, "plug-generation": vif.generation}),
    }


def in_service(port: PortId, vlan: int, network: NetworkId) -> dict[str, Any]:
    return {
        "tag": vlan,
        "other_config": map_of({"net-uuid": network}),
        "external_ids": map_of({"iface-id": port, "moorage-service": "true"}),
    }


def remove_port(bridge: str, port: str) -> Operation:
    """Take a Port row off the bridge; the database then drops it and its interfaces. One that is gone is fine."""
    mutation = ["ports", "delete", set_of([uuid(port)])]
    return {"op": "mutate", "table": "Bridge", "where": _is(bridge), "mutations": [mutation]}


def next_configuration() -> list[Operation]:
    """Have ovs-vswitchd say (`cur_cfg`) when it has done all this; the last result tells the configuration's number."""
    return [
        {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
        {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]},
    ]


def configuration_of(results: Sequence[Result]) -> int:
    """The number that `next_configuration`, at the end of a transaction, has given it."""
    number: int = results[-1]["rows"][0]["next_cfg"]
    return number


def tag(plan: WirePlan, rows: Rows) -> list[Operation]:
    """Set the VLAN and the network; counts 0 when the port is gone, or plugged in another generation. Nothing for one
    that has them."""
    if is_tagged(plan, rows):
        return []
    where = [*_is(rows.port), *_of_generation(plan)]
    network = [
        ["other_config", "delete", set_of(["net-uuid"])],
        ["other_config", "insert", map_of({"net-uuid": plan.network})],
    ]
    return [
        _update("Port", where, {"tag": plan.vlan}),
        {"op": "mutate", "table": "Port", "where": where, "mutations": network},
    ]


def isolate(plan: WirePlan, rows: Rows) -> list[Operation]:
    """Back to the dead VLAN with nothing said about being wired, if it is still the port in that generation."""
    return _isolate(rows, _of_generation(plan))


def isolate_any(rows: Rows) -> list[Operation]:
    """The same, whichever generation it is in."""
    return _isolate(rows, [])


def mark(plan: WirePlan, rows: Rows) -> Operation:
    """Write that it is wired; counts 0 when the port is gone, in another generation, or has another ofport."""
    where = [*_is(rows.interface), *_of_generation(plan), ["ofport", "==", plan.ofport]]
    return {
        "op": "mutate",
        "table": "Interface",
        "where": where,
        "mutations": [
            ["external_ids", "delete", set_of(["moorage-wired"])],
            ["external_ids", "insert", map_of({"moorage-wired": mark_of(plan)})],
        ],
    }


def _isolate(rows: Rows, condition: list[Any]) -> list[Operation]:
    where = [*_is(rows.interface), *condition]
    mutation = ["external_ids", "delete", set_of(["moorage-wired"])]
    return [
        _update("Port", [*_is(rows.port), *condition], {"tag": DEAD_VLAN}),
        {"op": "mutate", "table": "Interface", "where": where, "mutations": [mutation]},
    ]


def _of_generation(plan: WirePlan) -> list[Any]:
    if plan.generation is None:
        return []
    return [["external_ids", "includes", map_of({"plug-generation": plan.generation})]]


def _is(row: str) -> list[Any]:
    return [["_uuid", "==", uuid(row)]]


def _insert(table: str, name: str, row: dict[str, Any]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _update(table: str, where: list[Any], row: dict[str, Any]) -> Operation:
    return {"op": "update", "table": table, "where": where, "row": row}
