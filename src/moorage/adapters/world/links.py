"""Network namespaces, held by descriptors, with the links in them.

By pyroute2, whose requests (0.3-0.6 ms) run on one netlink socket for each namespace. What takes long is the kernel's:
a link that leaves a namespace, by moving or by ending, waits for an RCU grace period (15 ms where HZ is 250).
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from ipaddress import IPv4Interface
from typing import Any

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from moorage.adapters.world import kernel
from moorage.domain.errors import Invalid, NotFound, Unavailable
from moorage.kit.translating import translating

_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_PACKET, socket.AF_NETLINK})


class NetworkNamespace:
    """A network namespace. It ends when it is closed and the last process in it has ended."""

    def __init__(self, home: int, *, is_new: bool = True) -> None:
        """A new one with its loopback up, which forwards nothing; `home` is the namespace that this thread is in, and
        comes back to. One that is not new is `home` itself, and left as it is.
        """
        self._home = home
        self._opened: Any = None  # netlink here, for those that need it: opening it takes 1 ms
        self.descriptor = -1
        if is_new:
            kernel.unshare(kernel.CLONE_NEWNET)
        try:
            if is_new:
                kernel.forward_nothing()
            self.descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            if is_new:
                kernel.set_up("lo")
        finally:
            _go_home(home)
        self.inode = os.fstat(self.descriptor).st_ino

    def close(self) -> None:
        """Let go of it."""
        if self._opened is not None:
            self._opened.close()
        os.close(self.descriptor)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work inside, for the length of a `with`. Nothing else may run meanwhile: the holder is one thread."""
        kernel.enter_network(self.descriptor)
        try:
            yield
        finally:
            _go_home(self._home)

    @property
    def _netlink(self) -> Any:
        if self._opened is None:
            with self.entered():
                self._opened = IPRoute()  # type: ignore[no-untyped-call]  # pyroute2 ships no complete types
        return self._opened

    def links(self) -> frozenset[str]:
        """The names of the links here."""
        with self.entered():
            return frozenset(name for _, name in socket.if_nameindex())

    def index(self, device: str) -> int | None:
        """The number of a link, None when it is not here."""
        with self.entered():
            try:
                return socket.if_nametoindex(device)
            except OSError:
                return None

    def make_tap(self, device: str, mtu: int, *, owner: int | None = None) -> None:
        """A persistent tap, up; an existing link of that name is kept. `owner` may open it without a privilege."""
        with _netlink_errors(f"making tap {device}"):
            if self.index(device) is None:
                with self.entered():
                    kernel.make_tap(device, is_persistent=True, owner=owner)
            self._netlink.link("set", index=self.index(device), mtu=mtu, state="up")

    def make_cable(self, device: str, inside: "NetworkNamespace", end: str, *, mac: str, mtu: int) -> None:
        """A veth pair from here to `end` inside, made there, since moving takes a link 15 ms; an existing one is kept.

        What is sent at `end` has its checksums: a userspace switch hands packets on as they come.
        """
        with _netlink_errors(f"making cable {device}"):
            if inside.index(end) is None:
                self.remove(device)  # what is left of one whose namespace is gone: the kernel clears up in its own time
                peer = {"ifname": end, "net_ns_fd": inside.descriptor, "mtu": mtu, "address": mac}
                self._netlink.link("add", kind="veth", ifname=device, mtu=mtu, peer=peer)
                with inside.entered():
                    kernel.send_checksums(end)
            self._set_up_both(device, inside, end)

    def connect(self, device: str, other: "NetworkNamespace", other_device: str, mtu: int) -> None:
        """A veth pair from here to `other`, up; an existing one is kept. Raises Unavailable when a name is taken."""
        with _netlink_errors(f"connecting {device} with {other_device}"):
            if self.index(device) is None:
                peer = {"ifname": other_device, "net_ns_fd": other.descriptor, "mtu": mtu}
                self._netlink.link("add", kind="veth", ifname=device, mtu=mtu, peer=peer)
            self._set_up_both(device, other, other_device)

    def _set_up_both(self, device: str, other: "NetworkNamespace", other_device: str) -> None:
        for namespace, end in ((self, device), (other, other_device)):
            if namespace.index(end) is None:
                raise Unavailable(f"connecting {device}: there is another link of that name")
            with namespace.entered():
                kernel.set_up(end)

    def remove(self, device: str) -> None:
        """Delete a link; one that is not here is fine."""
        if (index := self.index(device)) is None:
            return
        with _netlink_errors(f"removing link {device}"):
            try:
                self._netlink.link("del", index=index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:  # its owner was quicker
                    raise

    def move(
        self,
        device: str,
        target: "NetworkNamespace",
        *,
        name: str | None,
        mac: str | None,
        mtu: int | None,
        addresses: tuple[str, ...],
        up: bool,
    ) -> None:
        """Move a link from here to `target` and set it up; if it is there already, set it up again.

        Raises Unavailable when there is another of its new name, NotFound when it is nowhere.
        """
        wanted = _parsed(addresses)
        final = name or device
        changes: dict[str, str | int] = {"state": "up" if up else "down"}
        if mac is not None:
            changes["address"] = mac
        if mtu is not None:
            changes["mtu"] = mtu
        with _netlink_errors(f"moving link {device}"):
            index = self.index(device)
            if index is not None and self is not target:
                if target.index(final) is not None:  # the kernel would move it, and then refuse to rename it
                    raise Unavailable(f"moving link {device}: there is a link {final} already")
                # One message moves, renames and sets up: the kernel renames after the move, while the link is down.
                self._netlink.link("set", index=index, net_ns_fd=target.descriptor, ifname=final, **changes)
                index, before = target.index(final), frozenset[IPv4Interface]()
            else:
                if index is None:
                    index = target.index(final)
                elif final != device:
                    self._netlink.link("set", index=index, state="down")
                    changes["ifname"] = final
                if index is None:
                    raise NotFound(f"there is no link {device}")
                target._netlink.link("set", index=index, **changes)
                before = target._addresses(index) if wanted else frozenset()
            for address in before - wanted:
                target._netlink.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            for address in wanted - before:
                target._netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)

    def open_socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """A non-blocking socket of this namespace."""
        if family not in _FAMILIES:
            raise Invalid(f"sockets of family {family} are not given out")
        with self.entered(), translating({OSError: Unavailable}, "opening a socket"):
            opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    def _addresses(self, index: int) -> frozenset[IPv4Interface]:
        return frozenset(
            IPv4Interface(f"{address.get_attr('IFA_LOCAL')}/{address['prefixlen']}")
            for address in self._netlink.get_addr(family=socket.AF_INET, index=index)
        )


def _parsed(addresses: tuple[str, ...]) -> frozenset[IPv4Interface]:
    with translating({ValueError: Invalid}, "reading addresses"):
        return frozenset(IPv4Interface(address) for address in addresses)


def _go_home(home: int) -> None:
    try:
        kernel.enter_network(home)
    except OSError:  # whatever ran next would run in a wrong namespace
        os.abort()


def _netlink_errors(act: str) -> AbstractContextManager[None]:
    return translating({(NetlinkError, OSError): Unavailable}, act)
