"""What compute is told of a change, and what not."""

from dataclasses import replace

import pytest
from tests.unit.ports import SERVER, bind, new_port, report

from moorage.domain.events import EventName, EventStatus, ExternalEvent
from moorage.domain.ids import PortId, ServerId
from moorage.domain.news import concerns_compute, news, still_says
from moorage.domain.port import Port, PortStatus, reported_up

DOWN, BUILD, ACTIVE, ERROR = PortStatus.DOWN, PortStatus.BUILD, PortStatus.ACTIVE, PortStatus.ERROR


def event(name: EventName, status: EventStatus | None = EventStatus.COMPLETED) -> ExternalEvent:
    return ExternalEvent(name=name, server=ServerId(SERVER), tag=PortId("p1"), status=status)


PLUGGED, UNPLUGGED = event(EventName.VIF_PLUGGED), event(EventName.VIF_UNPLUGGED)
FAILED = event(EventName.VIF_PLUGGED, EventStatus.FAILED)
DELETED, CHANGED = event(EventName.VIF_DELETED), event(EventName.CHANGED, None)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (DOWN, ACTIVE, [PLUGGED]),
        (BUILD, ACTIVE, [PLUGGED]),
        (ERROR, ACTIVE, [PLUGGED]),
        (DOWN, ERROR, [FAILED]),
        (BUILD, ERROR, [FAILED]),
        (ACTIVE, DOWN, [UNPLUGGED]),
        (DOWN, BUILD, []),
        (BUILD, DOWN, []),
        (ACTIVE, BUILD, []),
        (ACTIVE, ERROR, []),
        (ACTIVE, ACTIVE, []),
    ],
)
def test_each_change_of_status_has_its_event_or_none(
    before: PortStatus, after: PortStatus, told: list[ExternalEvent]
) -> None:
    assert news(new_port(status=before), new_port(status=after)) == told


def test_making_a_port_is_no_news_and_deleting_one_is() -> None:
    assert news(None, new_port()) == []
    assert news(new_port(), None) == [DELETED]
    assert news(None, None) == []


def test_any_other_change_that_is_shown_is_network_changed() -> None:
    port = bind(new_port())
    assert news(port, replace(port, name="web")) == [CHANGED]
    assert news(new_port(device_owner=""), new_port()) == [CHANGED]
    assert news(port, replace(port, revision_number=9, awaiting=frozenset())) == []


@pytest.mark.parametrize(
    "fields", [{"device_owner": "network:dhcp"}, {"device_owner": ""}, {"device_id": ""}, {"device_id": "dhcp-h1"}]
)
def test_ports_that_are_no_servers_are_no_news(fields: dict[str, str]) -> None:
    assert news(new_port(**fields), new_port(status=ACTIVE, **fields)) == []
    assert news(new_port(**fields), None) == []


def test_what_detaching_does_is_no_news_to_the_server_that_was() -> None:
    port = reported_up(bind(new_port()), report())
    detached = bind(replace(port, device_id="", device_owner=""), None, generation=None)
    assert news(port, detached) == []


@pytest.mark.parametrize("spelling", [SERVER.upper(), SERVER.replace("-", ""), "{" + SERVER + "}"])
def test_a_server_is_known_by_any_spelling_of_its_id(spelling: str) -> None:
    assert concerns_compute(new_port(device_id=spelling))
    assert news(new_port(device_id=spelling), None) == [DELETED]


@pytest.mark.parametrize(
    ("told", "port", "is_so"),
    [
        (PLUGGED, new_port(status=ACTIVE), True),
        (PLUGGED, new_port(status=DOWN), False),
        (PLUGGED, None, False),
        (PLUGGED, new_port(status=ACTIVE, device_id="other"), False),
        (PLUGGED, new_port(status=ACTIVE, device_id=SERVER.upper()), True),
        (FAILED, new_port(status=ERROR), True),
        (FAILED, new_port(status=ACTIVE), False),
        (UNPLUGGED, new_port(status=DOWN), True),
        (UNPLUGGED, new_port(status=ACTIVE), False),
        (DELETED, None, True),
        (DELETED, new_port(), False),
        (CHANGED, new_port(), True),
        (CHANGED, None, False),
    ],
)
def test_an_event_still_says_what_is_so(told: ExternalEvent, port: Port | None, is_so: bool) -> None:
    assert still_says(told, port) is is_so
