"""The files of deploy/: units that systemd takes, which give nobody more than it needs; settings that can be read."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.machine import CAPABILITIES

from moorage.app.serving.checking import services_in
from moorage.app.serving.reading import read_file
from moorage.app.serving.settings import Service

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
APIS = ["identity", "image", "compute-api", "network"]
FENCES = ("NoNewPrivileges", "ProtectSystem", "ProtectHome", "LockPersonality", "RestrictRealtime")


class Unit:
    """The lines of a unit; a name may stand in several."""

    def __init__(self, path: Path) -> None:
        parser = configparser.RawConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(path)
        self.lines = path.read_text().splitlines()
        self.service = dict(parser["Service"])

    def all(self, name: str) -> list[str]:
        found = [line.partition("=")[2] for line in self.lines if line.startswith(f"{name}=")]
        return [word for words in found for word in words.split()]


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def served(path: Path) -> Service:
    found = re.search(
        r"^ExecStart=/opt/moorage/bin/moorage serve (\S+) --config /etc/moorage/(\S+)$", path.read_text(), re.M
    )
    assert found is not None
    assert (DEPLOY / found[2]).exists()
    assert found[1] in services_in(read_file(DEPLOY / found[2]))
    return Service(found[1])


def test_there_is_a_unit_for_each_process() -> None:
    assert sorted(served(unit) for unit in UNITS) == sorted(Service)
    assert {unit.stem.removesuffix("@") for unit in UNITS} == {f"moorage-{service}" for service in Service}


def test_a_unit_gives_no_more_than_its_process_needs(path: Path) -> None:
    unit = Unit(path)
    for fence in FENCES:
        assert unit.service.get(fence) in ("yes", "strict", "full"), fence
    if served(path) is Service.HOLDER:
        wanted = {f"CAP_{name.upper()}" for name in CAPABILITIES}
        assert set(unit.all("CapabilityBoundingSet")) == wanted  # with these, and no others, test_machine.py runs it
        assert "User" not in unit.service
    else:
        assert unit.service["CapabilityBoundingSet"] == ""
        assert unit.service["User"].startswith("moorage")
        assert unit.service["ProtectSystem"] == "strict"
        assert unit.service["Type"] == "notify"


def test_a_process_that_ends_however_it_ends_is_started_again(path: Path) -> None:
    unit = Unit(path)
    assert unit.service["Restart"] == "always"  # a holder that was killed exits with 0
    assert "StartLimitIntervalSec=0" in unit.lines  # however often


def test_the_holder_outlives_a_guest_that_the_kernel_ends_for_want_of_memory() -> None:
    unit = Unit(DEPLOY / "moorage-holder.service")
    assert unit.service["OOMPolicy"] == "continue"
    assert "OOMScoreAdjust" not in unit.service  # guests would inherit it, and others die in their place


def test_users_that_units_name_are_made() -> None:
    made = set(re.findall(r"^[ug] (\S+)", (DEPLOY / "sysusers.conf").read_text(), re.M))
    for unit in map(Unit, UNITS):
        named = {unit.service.get("User", "moorage"), unit.service["Group"], *unit.all("SupplementaryGroups")}
        assert named - made <= {"kvm"}
    settings = read_file(DEPLOY / "host.toml").settings
    assert settings is not None
    assert settings.holder is not None
    assert {settings.holder.group, settings.holder.guests} <= made


def test_settings_can_be_read() -> None:
    for name, services in (("control-plane.toml", APIS), ("host.toml", ["compute", "agent", "holder"])):
        said = read_file(DEPLOY / name)
        assert said.wrong == ()
        assert services_in(said) == services


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    assert tool is not None, "script/setup installs systemd, as root"
    copies = []
    for unit in UNITS:  # the program is not there, so another stands for it
        copy = tmp_path / unit.name.replace("@.", "@1.")
        copy.write_text(unit.read_text().replace("/opt/moorage/bin/moorage", "/bin/true"))
        copies.append(str(copy))
    ran = subprocess.run([tool, "verify", "--man=no", *copies], capture_output=True, text=True, timeout=30, check=False)
    ours = [line for line in ran.stderr.splitlines() if "moorage" in line]
    assert ours == []
