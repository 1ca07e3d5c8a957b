"""How ovsdb-server and ovs-vswitchd are started for one host, with all that they have in one directory.

Pure: whoever holds the host's network namespace runs these, in this order; both stay in the foreground and end on
SIGTERM. Start ovs-vswitchd when db.sock is there: it tries a missing one again only after a second. The userspace
datapath's internal devices live and die with ovs-vswitchd.
"""

from collections.abc import Mapping
from pathlib import Path

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
DATABASE = "conf.db"
LONGEST_RUNDIR = 80  # characters: a socket's path may have 107


def create_database(rundir: Path, schema: Path = SCHEMA) -> list[str]:
    """Make the empty database, once: it fails when there is one already."""
    return ["ovsdb-tool", "create", str(rundir / DATABASE), str(schema)]


def ovsdb_server(rundir: Path) -> list[str]:
    """The database server, on `rundir`/db.sock."""
    return [
        "ovsdb-server",
        f"--remote=punix:{rundir}/db.sock",
        *_kept_in(rundir, "ovsdb-server"),
        str(rundir / DATABASE),
    ]


def vswitchd(rundir: Path) -> list[str]:
    """The switch itself; bridges with datapath_type=netdev only."""
    return ["ovs-vswitchd", "--disable-system", *_kept_in(rundir, "ovs-vswitchd"), f"unix:{rundir}/db.sock"]


def environment(rundir: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with Open vSwitch's directories; ovs-vsctl, ovs-ofctl and ovs-appctl need it too to find this switch.

    Raises ValueError when a socket in `rundir` would have too long a name.
    """
    if len(str(rundir)) > LONGEST_RUNDIR:
        raise ValueError(f"{rundir} is too long a path for sockets")
    here = str(rundir)
    return {**base, "OVS_RUNDIR": here, "OVS_LOGDIR": here, "OVS_DBDIR": here, "OVS_SYSCONFDIR": here}


def _kept_in(rundir: Path, program: str) -> list[str]:
    return [
        f"--unixctl={rundir}/{program}.ctl",
        f"--pidfile={rundir}/{program}.pid",
        f"--log-file={rundir}/{program}.log",
        "-vconsole:off",
        "-vsyslog:off",
        "-vfile:info",
    ]
