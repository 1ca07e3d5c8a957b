"""`moorage up`: the whole cloud in one process."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from moorage.app.config import LONGEST_TIMEOUT, LogFormat
from moorage.cli.called import called
from moorage.cli.options import Bus, Config, Database, Kind, State, listen_address
from moorage.cli.output import Output, output


def command(
    host_kind: Kind = None,
    hosts: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many hosts; they share their networks [1].")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready; it runs on.")] = False,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDR:PORT", callback=listen_address, help="Where the APIs listen [127.0.0.1:8780]."),
    ] = None,
    vif_plugging_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=LONGEST_TIMEOUT,
            metavar="SECONDS",
            help="How long a boot waits for its ports, up to a day; 0: never wait [300].",
        ),
    ] = None,
    vif_plugging_is_fatal: Annotated[
        bool | None,
        typer.Option(
            "--vif-plugging-is-fatal/--no-vif-plugging-is-fatal",
            help="Whether a boot fails when its ports are not ready in time [it does].",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="How lines look in the log, moorage.log in the state directory [json].")
    ] = None,
    database: Database = None,
    bus: Bus = None,
    config: Config = None,
    state_dir: State = None,
) -> None:
    """Start a cloud: all services and hosts in one.

    It runs until Ctrl-C or `moorage down`. Killed, it leaves its guests alive, and the next one takes them over.
    """
    from moorage.app.config import checked, read_settings
    from moorage.app.doctor import best_kind, hindrances
    from moorage.app.start import start_lasting_cloud
    from moorage.app.state import StateDir, default_cache_dir, default_state_dir, parse_listen
    from moorage.app.up import Report, Tell, detached, up
    from moorage.domain.errors import Unavailable

    with output() as out:
        said = {} if config is None else read_settings(config)
        asked = {
            "host_kind": host_kind,
            "hosts": hosts,
            "vif_plugging_timeout": vif_plugging_timeout,
            "vif_plugging_is_fatal": vif_plugging_is_fatal,
            "log_format": log_format,
            "database": database,
            "bus": bus,
        }
        said |= {name: value for name, value in asked.items() if value is not None}
        if listen is not None:
            said["address"], said["port"] = parse_listen(listen)
        kind, why = (said["host_kind"], "") if "host_kind" in said else best_kind()
        if why:
            out.say(why)
        for check in hindrances(kind):
            raise Unavailable(f"{kind.value} hosts cannot run here: {check.found}; {check.cure}")
        state = StateDir((state_dir or default_state_dir()).absolute())
        places = {"state_dir": state.cloud, "cache_dir": default_cache_dir()}
        settings = checked({**said, **places, "host_kind": kind}, "moorage up")

        def show(report: Report) -> None:
            match report.what:
                case "preparing":
                    out.preparing(report.text)
                case "ready":
                    say_ready(out, report.text, state.clouds_yaml, state_dir)
                case "failed":
                    out.end_line()
                    raise Unavailable(report.text)

        def main(tell: Tell) -> None:
            up(start_lasting_cloud, settings, state, tell)

        if not detach:
            main(show)
        with detached(state, main) as reports:
            for report in reports:
                show(report)


def say_ready(out: Output, url: str, clouds_yaml: Path, state_dir: Path | None) -> None:
    """Where the cloud is, and three lines to paste."""
    me = called()
    place = f" --state-dir {shlex.quote(str(state_dir.absolute()))}" if state_dir is not None else ""
    out.say(f"ready: {url}")
    out.say(f"clouds.yaml: {clouds_yaml}")
    out.say()
    out.say(f'  eval "$({me} env{place})"')
    out.say("  openstack server create --image moorage-guest --flavor m1.tiny --network private --wait hello")
    out.say(f"  {me} timeline hello")
