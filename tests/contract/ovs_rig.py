"""A real Open vSwitch for a test: its own directory, its own network namespace, gone afterwards."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

from moorage.adapters.ovsdb import processes
from moorage.adapters.ovsdb.flows import PORT_BITS, SHARED, prefix_of
from moorage.adapters.ovsdb.switch import OvsSwitch
from moorage.domain.ids import PortId, device_name


class OvsRig:
    """ovsdb-server and ovs-vswitchd in a namespace of their own, and switches that are connected to them."""

    def __init__(self, rundir: Path, device: Literal["veth", "tap"]) -> None:
        self.rundir = rundir
        self.device = device
        self.environment = processes.environment(rundir, os.environ)
        self._devices: set[str] = set()
        self._database: subprocess.Popen[bytes] | None = None
        self._vswitchd: subprocess.Popen[bytes] | None = None
        self._namespace = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo made; exec sleep infinity"], stdout=-1)
        assert self._namespace.stdout is not None
        assert self._namespace.stdout.readline() == b"made\n"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[OvsSwitch]:
        """A switch as a process has it; each one has connections of its own."""
        switch = OvsSwitch(self.rundir)
        running = asyncio.create_task(switch.run())
        try:
            await switch.ensure_bridge()
            yield switch
        finally:
            running.cancel()
            await asyncio.wait([running])

    def make_device(self, port: PortId) -> None:
        """What the hypervisor makes before a port is plugged."""
        name = device_name(port)
        if name not in self._devices:
            tap = ("ip", "tuntap", "add", "dev", name, "mode", "tap")
            veth = ("ip", "link", "add", name, "up", "type", "veth", "peer", "name", other_end(name))
            self.inside(*(tap if self.device == "tap" else veth))
            self._devices.add(name)

    def spoil_device(self, port: PortId) -> None:
        """See that the switch cannot open the port's device: it is missing."""
        assert device_name(port) not in self._devices

    def clear(self) -> None:
        """Remove the devices that were made."""
        there = self.inside("ip", "-o", "link")
        for device in self._devices:
            if f" {device}" in there:  # else it went with the namespace that its other end was given to
                self.inside("ip", "link", "del", device)
        self._devices.clear()

    def flows(self, port: PortId) -> list[str]:
        """The port's flows, as the switch has them."""
        dump = ["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "--no-names", "--no-stats", "br-int"]
        lines = self.inside(*dump, f"cookie={prefix_of(port):#x}/{PORT_BITS | SHARED:#x}").splitlines()
        return [line.strip().partition(", ")[2] for line in lines if "cookie=" in line]

    def shared(self) -> list[str]:
        """The flows that are no server port's own, as the switch has them."""
        dump = ["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "--no-names", "--no-stats", "br-int"]
        lines = self.inside(*dump, f"cookie={SHARED}/{SHARED}").splitlines()
        return [line.strip().partition(", ")[2] for line in lines if "cookie=" in line]

    def age(self, port: PortId) -> float:
        """For how many seconds the port has had the youngest of its flows."""
        of_port = f"cookie={prefix_of(port):#x}/{PORT_BITS | SHARED:#x}"
        dump = self.inside("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br-int", of_port)
        return min(float(seconds) for seconds in re.findall(r"duration=([0-9.]+)s", dump))

    def inside(self, *command: str) -> str:
        """The output of a command that is run in the switch's namespace."""
        done = subprocess.run(
            self._entering(command), env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def start_database(self) -> None:
        self._database = self._start(processes.ovsdb_server(self.rundir), "ovsdb-server")
        deadline = time.monotonic() + 5
        while not (self.rundir / "db.sock").exists():  # ovs-vswitchd would try again only after a second
            assert time.monotonic() < deadline, (self.rundir / "ovsdb-server.err").read_text()
            time.sleep(0.005)

    def stop_database(self) -> None:
        _stop(self._database)
        self._database = None

    def start_switch(self) -> None:
        self._vswitchd = self._start(self._entering(processes.vswitchd(self.rundir)), "ovs-vswitchd")

    def stop_switch(self) -> None:
        _stop(self._vswitchd)
        self._vswitchd = None

    def hold_switch(self) -> None:
        """Let it do nothing more, alive as it is."""
        assert self._vswitchd is not None
        self._vswitchd.send_signal(signal.SIGSTOP)

    def release_switch(self) -> None:
        assert self._vswitchd is not None
        self._vswitchd.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.stop_switch()
        self.stop_database()
        self._namespace.kill()
        self._namespace.wait()
        assert self._namespace.stdout is not None
        self._namespace.stdout.close()

    def _entering(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._namespace.pid}/ns/net", *command]

    def _start(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        with (self.rundir / f"{name}.err").open("ab") as errors:
            return subprocess.Popen(command, env=self.environment, stdout=errors, stderr=errors)


def other_end(device: str) -> str:
    """Of a veth, whose one end is a port's device."""
    return device.replace("tap", "end")


@contextmanager
def an_ovs(device: Literal["veth", "tap"] = "tap") -> Iterator[OvsRig]:
    """The switch, started; nothing of it is left in the end."""
    rundir = Path(tempfile.mkdtemp(prefix="ovs-"))
    rig = OvsRig(rundir, device)
    try:
        subprocess.run(processes.create_database(rundir), check=True, env=rig.environment)
        rig.start_database()
        rig.start_switch()
        yield rig
    finally:
        rig.end()
        shutil.rmtree(rundir)


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    """As a crash would: nothing is tidied up."""
    if process is not None:
        process.kill()
        process.wait()
