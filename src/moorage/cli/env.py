"""`moorage env`: what the shell must know for `openstack` to find the cloud."""

from typing import Annotated

import typer

from moorage.cli.options import OsCloud, State


def command(
    openrc: Annotated[
        bool, typer.Option("--openrc", help="OS_AUTH_URL and the like, for clients that know no clouds.yaml.")
    ] = False,
    os_cloud: OsCloud = None,
    state_dir: State = None,
) -> None:
    """Print shell variables for OpenStack clients."""
    from moorage.app.clouds_yaml import find_entry, quoted
    from moorage.app.clouds_yaml import openrc as as_openrc
    from moorage.app.state import StateDir, default_state_dir

    clouds_yaml = StateDir((state_dir or default_state_dir()).absolute()).clouds_yaml
    file, name, account = find_entry(os_cloud, clouds_yaml)
    if openrc:
        print(as_openrc(account), end="")
    else:
        print(f"export OS_CLIENT_CONFIG_FILE={quoted(str(file))}")
        print(f"export OS_CLOUD={quoted(name)}")
    if state_dir is not None:  # for our own commands, which then need no --state-dir either
        print(f"export MOORAGE_STATE_DIR={quoted(str(state_dir.absolute()))}")
