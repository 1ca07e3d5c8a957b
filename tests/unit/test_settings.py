"""Settings of a cloud: read from a file, refused with the name of what is wrong, shown on a page."""

from pathlib import Path

import pytest

from moorage.adapters.memory.struck import Struck
from moorage.app.config import CloudSettings, HostKind, SimulatedSettings, checked, read_settings
from moorage.app.settings_page import settings_page
from moorage.domain.errors import Invalid
from moorage.domain.ids import PortId

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "moorage.toml"


def test_a_file_says_what_differs_from_the_defaults(file: Path) -> None:
    file.write_text('host_kind = "netns"\nvif_plugging_timeout = 30\n[simulated]\nresume = 0.5\n')
    assert read_settings(file) == {
        "host_kind": HostKind.NETNS,
        "vif_plugging_timeout": 30.0,
        "simulated": SimulatedSettings(resume=0.5),
    }
    assert checked({"state_dir": "/state", **read_settings(file)}, "a file") == CloudSettings(
        Path("/state"), HostKind.NETNS, vif_plugging_timeout=30.0, simulated=SimulatedSettings(resume=0.5)
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("vif_plugging_timeot = 30", "vif_plugging_timeot"),
        ("vif_plugging_timeout = -1", "vif_plugging_timeout"),
        ('vif_plugging_is_fatal = "yes"', "vif_plugging_is_fatal"),
        ('host_kind = "imaginary"', "host_kind"),
        ("[simulated]\nplug = 1e9", "simulated.plug"),
        ("[simulated]\nplugs = 1", "plugs"),
        ('state_dir = "/elsewhere"', "state_dir"),
        ("hosts =", "not TOML"),
    ],
)
def test_what_cannot_be_is_refused_by_name(file: Path, text: str, named: str) -> None:
    file.write_text(text)
    with pytest.raises(Invalid, match=named) as refused:
        read_settings(file)
    assert str(file) in refused.value.message


def test_a_missing_file_is_told(file: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        read_settings(file)


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text() == settings_page(), "script/fix writes it anew"


def test_a_fault_strikes_its_share_of_all_ports_and_those_that_are_named() -> None:
    ports = [PortId(f"port-{number}") for number in range(1000)]
    struck = Struck(0.2)
    hit = [port for port in ports if port in struck]
    assert 150 < len(hit) < 250
    assert hit == [port for port in ports if port in Struck(0.2)]
    spared = next(port for port in ports if port not in struck)
    struck.add(spared)
    assert spared in struck
    assert not any(port in Struck() for port in ports)
