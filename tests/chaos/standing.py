"""What stands at one time: rows, the switch's ports and flows, links, namespaces, leases, processes."""

import asyncio
import os
import re
from pathlib import Path

from tests.chaos.audit import Audit
from tests.chaos.cluster import Cluster, commands
from tests.chaos.evidence import Snapshot

from moorage.adapters.ovsdb import processes
from moorage.seams.world import ROOT

BRIDGE = "br-int"
CHANGING = re.compile(r"(cookie|duration|n_packets|n_bytes|idle_age|hard_age)=[^, ]*,? ?")
NUMBERED = re.compile(
    r"load:(0x[0-9a-f]+)->NXM_NX_REG[57]\[\]|reg[57]=(0x[0-9a-f]+)"
)  # registers that hold a port's number


async def snapshot(cluster: Cluster, audit: Audit) -> Snapshot:
    layout, kinds = cluster.built.layout, dict(await audit.things())
    kinds["namespace"] = await cluster.world.namespaces()
    kinds["held process"] = frozenset(await cluster.world.processes())
    kinds["link"] = await cluster.built.machine.links(ROOT)
    kinds["bridge port"] = frozenset((await _ovs(cluster, "ovs-vsctl", "list-ports", BRIDGE)).split())
    numbers = await _numbers(cluster)
    flows = await _ovs(cluster, "ovs-ofctl", "--names", "-O", "OpenFlow14", "dump-flows", BRIDGE)
    kinds["flow"] = frozenset(_flow(line, numbers) for line in flows.splitlines() if "table=" in line)
    kinds["lease"] = _lines(layout.folder("a"), "*lease*", words=slice(1, 3))
    kinds["guest record"] = frozenset(path.name for path in layout.folder("c").glob("hosts/*/guests/*"))
    kinds["process"] = _processes(cluster.place)
    return Snapshot(kinds)


async def _numbers(cluster: Cluster) -> dict[int, str]:
    """The switch's ports by their numbers, which another life of the switch gives anew."""
    said = await _ovs(
        cluster, "ovs-vsctl", "--format=csv", "--no-headings", "--columns=ofport,name", "list", "Interface"
    )
    found = [line.replace('"', "").split(",") for line in said.split()]
    return {int(number): name for number, name in found if number.isdigit()}


def _flow(line: str, numbers: dict[int, str]) -> str:
    """A flow as it is in every life of the switch; the number of a port that is not there stays.

    To whom a flood goes first is not the same in each life: actions are compared in an order of their own.
    """

    def named(found: re.Match[str]) -> str:
        number = found[1] or found[2]
        return found[0].replace(number, numbers.get(int(number, 16), number))

    match, _, actions = NUMBERED.sub(named, CHANGING.sub("", line).strip()).partition("actions=")
    return f"{match}actions={','.join(sorted(actions.split(',')))}"


async def _ovs(cluster: Cluster, *command: str) -> str:
    switch = cluster.built.layout.folder("switch")
    environment = processes.environment(switch, os.environ)
    if command[0] == "ovs-vsctl":
        command = ("ovs-vsctl", f"--db=unix:{switch}/db.sock", "--timeout=10", *command[1:])
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    words, _ = await process.communicate()
    assert process.returncode == 0, command
    return words.decode()


async def has_number(cluster: Cluster, device: str) -> bool:
    """Whether the switch has given a device its number."""
    found = await _ovs(cluster, "ovs-vsctl", "--if-exists", "get", "Interface", device, "ofport")
    return found.strip().isdigit()


def _lines(place: Path, pattern: str, *, words: slice) -> frozenset[str]:
    return frozenset(
        " ".join(line.split()[words])
        for path in place.rglob(pattern)
        if path.is_file()
        for line in path.read_text().splitlines()
        if len(line.split()) == 5
    )


def _processes(place: Path) -> frozenset[str]:
    """Whatever runs with a file of this cloud's, but for RabbitMQ's and PostgreSQL's own workers."""
    return frozenset(" ".join(words)[:200] for _, words in commands() if any(str(place) in word for word in words))
