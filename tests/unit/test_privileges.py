"""Privileged code outside of the holder: none."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "moorage"
HOLDERS = {
    "door",
    "entry",
    "holder",
    "hosts",
    "kernel",
    "links",
    "loop",
    "machine",
    "processes",
    "trial",
}  # what its process runs

LIBRARIES = {"ctypes", "cffi", "pyroute2"}  # calls into the kernel that Python itself does not offer
CALLS = {
    *("os.setuid", "os.seteuid", "os.setreuid", "os.setresuid", "os.setgid", "os.setegid", "os.setregid"),
    *("os.setresgid", "os.setgroups", "os.initgroups", "os.chown", "os.fchown", "os.lchown", "shutil.chown"),
    *("os.chroot", "os.mknod", "os.setns", "os.unshare", "os.setpriority", "signal.pidfd_send_signal"),
}
PROGRAMS = {"sudo", "doas", "pkexec", "nsenter", "unshare", "setpriv", "runuser", "sysctl", "modprobe", "brctl"}
PLACES = ("/dev/net/tun", "/run/netns")
# Nobody gains by these: started by root, PostgreSQL is nobody's, and a cluster's processes may do nothing of root's.
GIVEN_UP = {
    "adapters/database/server.py": {"setpriv", "shutil.chown"},
    "app/cluster/parts.py": {"setpriv"},
}
ITS_PARTS = {f"moorage.adapters.world.{module}" for module in HOLDERS}


def privileged(tree: ast.AST) -> Iterator[str]:
    """What needs a privilege, or is the holder's own, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names if _is_forbidden(name.name)]
            case ast.ImportFrom(module=str(module), names=names):
                full = [module, *(f"{module}.{name.name}" for name in names)]
                found = [name for name in full if _is_forbidden(name) or name in CALLS]
            case ast.Attribute(value=ast.Name(id=value), attr=attribute):
                found = [f"{value}.{attribute}"] if f"{value}.{attribute}" in CALLS else []
            case ast.Constant(value=str(text)):
                found = [text] if text in PROGRAMS or text in PLACES else []
            case _:
                found = []
        yield from (f"{getattr(node, 'lineno', 0)}: {name}" for name in found)


def _is_forbidden(module: str) -> bool:
    return module.split(".")[0] in LIBRARIES or module in ITS_PARTS


def test_there_is_no_privileged_code_outside_the_holder() -> None:
    holder = [SOURCE / "adapters" / "world" / f"{module}.py" for module in HOLDERS]
    assert [path for path in holder if not path.exists()] == []
    others = [path for path in sorted(SOURCE.rglob("*.py")) if path not in holder]
    found = [
        f"{name}:{what}"
        for path in others
        for name in [str(path.relative_to(SOURCE))]
        for what in privileged(ast.parse(path.read_text()))
        if what.partition(": ")[2] not in GIVEN_UP.get(name, ())
    ]
    assert found == []


def test_the_holder_itself_needs_no_more_than_it_says() -> None:
    """What it has privileges for is in two files; the others of its process call these."""
    world = SOURCE / "adapters" / "world"
    found = {
        module: {what.partition(": ")[2] for what in privileged(ast.parse((world / f"{module}.py").read_text()))}
        for module in HOLDERS
    }
    assert {module for module, needs in found.items() if needs & {"ctypes"}} == {"kernel"}
    assert {module for module, needs in found.items() if any(need.startswith("pyroute2") for need in needs)} == {
        "links"
    }


@pytest.mark.parametrize(
    "source",
    [
        "import ctypes",
        "from ctypes import CDLL",
        "from pyroute2.iproute.linux import IPRoute",
        "os.setuid(0)",
        "from os import setuid",
        "change = os.chown",
        "from moorage.adapters.world import kernel",
        "from moorage.adapters.world.hosts import Hosts",
        'subprocess.run(["sudo", "true"])',
        'open("/dev/net/tun")',
    ],
)
def test_the_rule_sees_what_it_should(source: str) -> None:
    assert len(list(privileged(ast.parse(source)))) > 0


def test_the_rule_sees_no_more_than_it_should() -> None:
    source = "import os\nfrom moorage.adapters.world.client import HolderProcess\nos.kill(1, 9)\nos.geteuid()"
    assert list(privileged(ast.parse(source))) == []
