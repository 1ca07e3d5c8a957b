"""The history checker of the crash sweep sees what is planted, and nothing where there is nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.chaos.evidence import Accepted, Appended, Asked, Evidence, PortWrite, Reached, Removed, Snapshot
from tests.chaos.history import judged
from tests.unit.ports import NOW, SERVER, new_port

from moorage.domain.events import DeadEvent, EventName, EventStatus, ExternalEvent, OutboxItem
from moorage.domain.hops import Fact, Hop
from moorage.domain.ids import (
    FlavorId,
    Generation,
    NetworkId,
    PortId,
    ProjectId,
    ServerId,
    SubnetId,
    UserId,
)
from moorage.domain.port import FixedIp, Port, PortStatus
from moorage.domain.server import Fault, Flavor, Life, NicInfo, PowerState, Server, VmState

ID = ServerId(SERVER)
ADDRESS = "10.0.0.5"
REACHED = Reached(ADDRESS, NOW, NOW + timedelta(seconds=9))
ACTIVE = Life(VmState.ACTIVE, None, PowerState.RUNNING)
ERROR = Life(VmState.ERROR, None, PowerState.NOSTATE)
WITH_ADDRESS = new_port(fixed_ips=(FixedIp(SubnetId("s1"), ADDRESS),))


def server(life: Life = ACTIVE, **fields: Any) -> Server:
    nic = NicInfo(PortId("p1"), NetworkId("n1"), "private", "fa:16:3e:00:00:01", (ADDRESS,), is_ours=True)
    made = Server(
        id=ID,
        project=ProjectId("d" * 32),
        user=UserId("u"),
        name="web",
        created=NOW,
        updated=NOW,
        flavor=Flavor(FlavorId("1"), "m1.tiny", 1, 64, 1),
        image=None,
        nics_wanted=(),
        life=life,
        nics=(nic,),
    )
    return replace(made, **fields)


def story(found: Server, *, wanted: str = "ACTIVE", is_single: bool = False, **fields: Any) -> Evidence:
    """A boot whose one event was delivered."""
    event = ExternalEvent(EventName.VIF_PLUGGED, ID, PortId("p1"))
    sound = Evidence(
        asked=(Asked(ID, wanted, is_single),),
        servers={ID: found},
        reached={ID: REACHED},
        writes=(
            PortWrite(1, None, WITH_ADDRESS),
            PortWrite(2, WITH_ADDRESS, replace(WITH_ADDRESS, status=PortStatus.ACTIVE)),
        ),
        appended=(Appended(1, 2, OutboxItem(7, event, NOW)),),
        removed={7: Removed(2, 3)},
        accepted=(Accepted(NOW + timedelta(seconds=1), event),),
    )
    return replace(sound, **fields)


def test_a_sound_run_has_no_violations() -> None:
    assert judged(story(server())).violations == []


def test_a_boot_that_is_not_active_is_lost() -> None:
    plugged = Fact(Hop.PLUGGED, NOW, 0.0, "compute", server=ID, generation=Generation("g1"))
    found = judged(story(server(Life(VmState.BUILDING, None, PowerState.NOSTATE)), facts={ID: (plugged,)}))
    [what] = found.lost_boots
    assert what == f"server {ID} is building, not ACTIVE; its last hop: plugged"


def test_a_boot_without_a_working_address_is_lost() -> None:
    [what] = judged(story(server(), reached={})).lost_boots
    assert "answers at none of its addresses" in what
    [what] = judged(story(server(), reached={ID: replace(REACHED, address="10.0.0.9")})).lost_boots
    assert "answers at 10.0.0.9, which is none" in what


def test_a_deleted_server_that_is_still_there_is_a_violation() -> None:
    [what] = judged(story(server(), wanted="DELETED")).lost_boots
    assert "not DELETED" in what


def test_an_error_is_allowed_only_when_its_time_was_over_and_its_word_is_true() -> None:
    deadline = NOW + timedelta(seconds=300)
    plugged = Fact(Hop.PLUGGED, NOW, 0.0, "compute", server=ID, generation=Generation("g1"))
    true = Fault(500, "Failed to allocate the network(s): port p1 only got as far as 'plugged' within 300 s", deadline)
    fields: dict[str, Any] = {"deadlines": {ID: deadline}, "facts": {ID: (plugged,)}}
    assert judged(story(server(ERROR, fault=true), **fields)).violations == []
    [what] = judged(story(server(ERROR, fault=true), is_single=True, **fields)).lost_boots
    assert "is error" in what  # under a single fault there is always time
    early = replace(true, created=NOW + timedelta(seconds=20))
    [what] = judged(story(server(ERROR, fault=early), **fields)).lost_boots
    assert "with time left" in what
    false = replace(true, message="Failed to allocate the network(s): port p1 only got as far as 'wired' within 300 s")
    [what] = judged(story(server(ERROR, fault=false), **fields)).lost_boots
    assert "names another hop than plugged" in what
    [what] = judged(story(server(ERROR), **fields)).lost_boots
    assert "nobody says why" in what


def test_a_planted_lost_event_is_reported() -> None:
    [what] = judged(story(server(), accepted=())).lost_events
    assert "network-vif-plugged of port p1 (number 7) is lost" in what


def test_an_event_that_was_accepted_before_it_was_made_is_no_proof() -> None:
    event = ExternalEvent(EventName.VIF_PLUGGED, ID, PortId("p1"))
    assert judged(story(server(), accepted=(Accepted(NOW - timedelta(seconds=1), event),))).lost_events


def test_an_accepted_event_is_known_by_what_it_is_about() -> None:
    event = ExternalEvent(EventName.CHANGED, ID, PortId("p1"), None)
    heard = Accepted(NOW + timedelta(seconds=1), replace(event, status=EventStatus.COMPLETED))
    writes = (PortWrite(2, WITH_ADDRESS, replace(WITH_ADDRESS, name="new")),)
    found = story(server(), writes=writes, appended=(Appended(1, 2, OutboxItem(7, event, NOW)),), accepted=(heard,))
    assert judged(found).violations == []
    other = replace(heard, event=replace(heard.event, tag=PortId("p2")))
    assert judged(replace(found, accepted=(other,))).lost_events


def test_an_event_that_still_waits_is_reported() -> None:
    [what] = judged(story(server(), removed={})).lost_events
    assert "still waits" in what


def test_a_change_that_made_no_event_is_reported() -> None:
    [what] = judged(story(server(), appended=())).lost_events
    assert "never came into the outbox" in what


def test_a_dead_event_is_accounted_for_when_it_has_a_reason() -> None:
    dead = DeadEvent(OutboxItem(7, ExternalEvent(EventName.VIF_PLUGGED, ID, PortId("p1")), NOW), "404", NOW)
    assert judged(story(server(), accepted=(), dead=(dead,))).lost_events == []
    assert judged(story(server(), accepted=(), dead=(replace(dead, reason=""),))).lost_events


def test_only_a_newer_word_that_was_there_already_overtakes_an_event() -> None:
    gone = OutboxItem(8, ExternalEvent(EventName.VIF_DELETED, ID, PortId("p1")), NOW)
    writes = (*story(server()).writes, PortWrite(9, replace(WITH_ADDRESS, status=PortStatus.ACTIVE), None))
    by_it = (*story(server()).appended, Appended(6, 9, gone))
    accepted = (Accepted(NOW, gone.event),)
    removed = {7: Removed(5, 9), 8: Removed(7, 10)}  # in the transaction that appended the newer one
    fields: dict[str, Any] = {"writes": writes, "appended": by_it, "accepted": accepted}
    assert judged(story(server(), removed=removed, **fields)).lost_events == []
    removed = {7: Removed(5, 4), 8: Removed(7, 10)}  # in one before it
    assert len(judged(story(server(), removed=removed, **fields)).lost_events) == 1


def test_a_planted_double_address_is_reported() -> None:
    other: Port = replace(WITH_ADDRESS, id=PortId("p2"))
    writes = (*story(server()).writes, PortWrite(5, None, other))
    [what] = judged(story(server(), writes=writes)).doubles
    assert what == "10.0.0.5 was given to port p2, and port p1 has it"


def test_an_address_may_be_given_again_when_it_is_free() -> None:
    port = replace(WITH_ADDRESS, device_owner="network:dhcp")
    writes = (PortWrite(1, None, port), PortWrite(2, port, None), PortWrite(3, None, replace(port, id=PortId("p2"))))
    assert judged(story(server(), writes=writes, appended=())).doubles == []


def test_two_guests_that_answer_at_one_address_at_a_time_are_reported() -> None:
    other = ServerId("other")
    both = {ID: REACHED, other: replace(REACHED, at=NOW + timedelta(seconds=1))}
    [what] = judged(story(server(), reached=both)).doubles
    assert what == f"servers {ID} and other both answered at 10.0.0.5"
    after = {ID: REACHED, other: replace(REACHED, at=REACHED.until)}
    assert judged(story(server(), reached=after)).doubles == []


def test_a_planted_leak_and_a_loss_are_reported() -> None:
    before = Snapshot({"namespace": frozenset({"dhcp"}), "tap": frozenset()})
    after = Snapshot({"namespace": frozenset(), "tap": frozenset({"tap1"})})
    assert judged(story(server(), before=before, after=after)).leaks == ["tap left: tap1", "namespace lost: dhcp"]


def test_a_look_that_sees_nothing_of_a_server_that_runs_is_blind() -> None:
    seen = Snapshot({"tap": frozenset({"tap1", "lo"}), "flow": frozenset({"in_port=9"}), "lease": frozenset()})
    assert seen.blind(["server", "tap1"]) == ["flow", "lease"]
