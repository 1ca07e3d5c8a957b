"""The life of a port, rule by rule."""

from datetime import timedelta
from itertools import product

import pytest
from tests.unit.ports import HOST, NOW, bind, new_port, report

from moorage.domain.ids import HostName
from moorage.domain.port import (
    NEXT,
    Mark,
    Port,
    PortEvent,
    PortStatus,
    Provisioner,
    Report,
    VifType,
    absent,
    broke,
    details_asked,
    looks_same,
    provisioned,
    reported_down,
    reported_up,
    set_admin_state,
)

OTHER = HostName("h2")


def ready(**fields: object) -> Port:
    return reported_up(bind(new_port(**fields)), report())


def test_the_table_leaves_nothing_out_by_accident() -> None:
    assert set(NEXT) == set(product(PortStatus, PortEvent))


def test_a_port_comes_up_when_the_last_of_those_awaited_has_reported() -> None:
    port = bind(new_port(), needs_dhcp=True)
    assert port.awaiting == {Provisioner.L2, Provisioner.DHCP}
    wired = reported_up(details_asked(port, report(1)), report(2))
    assert wired.status is PortStatus.BUILD
    assert provisioned(wired, Provisioner.DHCP).status is PortStatus.ACTIVE


def test_the_order_of_provisioners_makes_no_difference() -> None:
    port = bind(new_port(), needs_dhcp=True)
    assert reported_up(provisioned(port, Provisioner.DHCP), report()).status is PortStatus.ACTIVE


def test_told_twice_is_told_once() -> None:
    once = ready()
    assert reported_up(once, report()) == once
    assert provisioned(once, Provisioner.L2) == once


def test_details_move_a_port_to_build_and_leave_an_active_one_alone() -> None:
    assert details_asked(bind(new_port()), report()).status is PortStatus.BUILD
    assert details_asked(ready(), report(2)).status is PortStatus.ACTIVE
    off = set_admin_state(bind(new_port()), up=False)
    assert details_asked(off, report()) == off


@pytest.mark.parametrize(
    "stale",
    [
        report(generation="g0"),
        report(generation=None),
        report(host=OTHER),
        report(sequence=0),
        report(sequence=9, epoch=0),
    ],
)
def test_news_that_does_not_count_changes_nothing(stale: Report) -> None:
    port = details_asked(bind(new_port()), report(1))
    for rule in (details_asked, reported_up, reported_down):
        assert rule(port, stale) is port


def test_a_later_start_of_the_agent_beats_any_sequence() -> None:
    port = reported_up(bind(new_port()), report(100))
    assert reported_down(port, report(1, epoch=2)).status is PortStatus.DOWN


def test_a_binding_without_a_generation_takes_any_report_of_its_host() -> None:
    port = bind(new_port(), generation=None)
    assert reported_up(port, report(generation="whatever")).status is PortStatus.ACTIVE
    assert reported_up(port, report(generation=None)).status is PortStatus.ACTIVE
    assert reported_up(port, report(host=OTHER)) is port


def test_the_same_binding_again_is_the_same_port() -> None:
    port = ready()
    assert bind(port, now=NOW + timedelta(seconds=9)) is port
    assert bind(new_port(), None, generation=None) == new_port()


@pytest.mark.parametrize("change", [{"generation": "g2"}, {"generation": None}, {"host": OTHER}])
def test_another_binding_starts_again_from_down(change: dict[str, str]) -> None:
    port = bind(ready(), **change)  # type: ignore[arg-type]
    assert port.status is PortStatus.DOWN
    assert port.awaiting == {Provisioner.L2}
    assert port.last_mark is None


def test_unbinding_awaits_nobody() -> None:
    port = bind(ready(), None, generation=None)
    assert (port.status, port.awaiting, port.binding.vif_type) == (PortStatus.DOWN, frozenset(), VifType.UNBOUND)
    assert provisioned(port, Provisioner.L2) is port


def test_a_failed_binding_is_tried_again_when_the_agent_is_back() -> None:
    failed = bind(new_port(), is_reachable=False)
    assert failed.binding.vif_type is VifType.BINDING_FAILED
    assert reported_up(failed, report()) is failed
    assert bind(failed, is_reachable=False) is failed
    assert bind(failed).binding.vif_type is VifType.OVS


def test_a_port_that_went_is_awaited_again() -> None:
    gone = reported_down(ready(), report(2))
    assert gone.status is PortStatus.DOWN
    assert gone.awaiting == {Provisioner.L2}
    assert reported_up(gone, report(3)).status is PortStatus.ACTIVE


def test_a_full_look_without_the_port_takes_it_down() -> None:
    look = NOW + timedelta(seconds=1)
    gone = absent(ready(), HOST, Mark(1, 2), look)
    assert gone.status is PortStatus.DOWN
    assert reported_up(gone, report(1)) is gone  # a late report of before the look
    assert reported_up(gone, report(3)).status is PortStatus.ACTIVE


def test_a_full_look_without_a_port_that_has_yet_to_come_up_awaits_l2_again() -> None:
    look = NOW + timedelta(seconds=1)
    wired = reported_up(details_asked(bind(new_port(), needs_dhcp=True), report(1)), report(2))
    gone = absent(wired, HOST, Mark(1, 3), look)
    assert (gone.status, gone.awaiting) == (PortStatus.BUILD, frozenset(Provisioner))
    assert provisioned(gone, Provisioner.DHCP).status is PortStatus.BUILD  # nothing is wired
    broken = absent(broke(ready()), HOST, Mark(1, 2), look)
    assert (broken.status, broken.awaiting) == (PortStatus.ERROR, frozenset({Provisioner.L2}))
    meanwhile = bind(wired, generation="g2", needs_dhcp=False, now=look)
    assert absent(meanwhile, HOST, Mark(1, 3), look) is meanwhile


def test_a_full_look_says_nothing_of_later_bindings_newer_reports_and_other_hosts() -> None:
    port = reported_up(bind(new_port()), report(5))
    later = NOW + timedelta(seconds=1)
    assert absent(port, HOST, Mark(1, 6), NOW) is port
    assert absent(port, HOST, Mark(1, 4), later) is port
    assert absent(port, OTHER, Mark(1, 6), later) is port
    unbound = new_port()
    assert absent(unbound, HOST, Mark(1, 6), later) is unbound
    dhcp_servers = ready(device_owner="network:dhcp")
    assert absent(dhcp_servers, HOST, Mark(1, 6), later) is dhcp_servers


def test_a_port_switched_off_is_down_until_it_is_on_and_reported() -> None:
    off = set_admin_state(ready(), up=False)
    assert off.status is PortStatus.DOWN
    assert reported_up(off, report(2)).status is PortStatus.DOWN
    on = set_admin_state(reported_up(off, report(2)), up=True)
    assert on.status is PortStatus.DOWN
    assert reported_up(on, report(3)).status is PortStatus.ACTIVE
    assert set_admin_state(on, up=True) is on


def test_a_broken_port_mends_by_its_next_report() -> None:
    broken = broke(bind(new_port()))
    assert broken.status is PortStatus.ERROR
    assert reported_up(broken, report()).status is PortStatus.ACTIVE


def test_what_only_the_network_sees_is_no_change_to_look_at() -> None:
    port = bind(new_port(), needs_dhcp=True)
    assert looks_same(port, reported_up(port, report()))
    assert not looks_same(port, details_asked(port, report()))
