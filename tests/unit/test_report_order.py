"""Reports may come in any order, twice, or late: the port ends as the newest says."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.ports import HOST, NOW, bind, new_port, report

from moorage.domain.port import Mark, Port, PortStatus, absent, details_asked, reported_down, reported_up

KINDS = ("up", "down", "seen", "look with it", "look without it")
LATER = NOW + timedelta(seconds=1)


def told(port: Port, kind: str, mark: Mark) -> Port:
    """The port after one message of its agent."""
    said = report(mark.sequence, epoch=mark.epoch)
    match kind:
        case "up" | "look with it":
            return reported_up(port, said)
        case "down":
            return reported_down(port, said)
        case "seen":
            return details_asked(port, said)
        case _:
            return absent(port, HOST, mark, LATER)


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), st.data())
def test_any_order_and_any_repeats_end_in_the_state_of_the_newest(kinds: list[str], data: st.DataObject) -> None:
    sent = [(kind, Mark(1 + number // 4, 1 + number % 4)) for number, kind in enumerate(kinds)]
    repeated = data.draw(st.lists(st.sampled_from(sent), max_size=6))
    delivered = data.draw(st.permutations(sent + repeated))
    port = bind(new_port())
    for kind, mark in delivered:
        port = told(port, kind, mark)
    newest = kinds[-1]
    if newest in ("up", "look with it"):
        assert port.status is PortStatus.ACTIVE
    elif newest == "seen":  # it says nothing of the device, so what was known before may stand
        assert port.status is not PortStatus.ERROR
    else:
        assert port.status is not PortStatus.ACTIVE
    assert port.last_mark == sent[-1][1]


class PlugUnplugReportCrash(RuleBasedStateMachine):
    """A host that plugs, unplugs, reports and crashes; messages on their way that are lost, repeated or late.

    When a full look has been delivered last, the network knows the truth.
    """

    @initialize()
    def start(self) -> None:
        self.port = bind(new_port())
        self.generation = 1
        self.plugged: int | None = None  # the generation of the device on the switch
        self.epoch, self.sequence = 1, 0
        self.on_the_way: list[tuple[str, int | None, Mark]] = []

    def _mark(self) -> Mark:
        self.sequence += 1
        return Mark(self.epoch, self.sequence)

    def _deliver(self, message: tuple[str, int | None, Mark]) -> None:
        kind, generation, mark = message
        said = report(mark.sequence, epoch=mark.epoch, generation=f"g{generation}")
        if kind == "look":
            is_there = generation is not None and self.port.binding.generation == f"g{generation}"
            self.port = reported_up(self.port, said) if is_there else absent(self.port, HOST, mark, LATER)
        else:
            change = {"up": reported_up, "down": reported_down, "seen": details_asked}[kind]
            self.port = change(self.port, said)

    @rule()
    def plug(self) -> None:
        self.plugged = self.generation
        self.on_the_way += [("seen", self.plugged, self._mark()), ("up", self.plugged, self._mark())]

    @rule()
    def unplug(self) -> None:
        if self.plugged is not None:
            self.on_the_way.append(("down", self.plugged, self._mark()))
            self.plugged = None

    @rule()
    def bind_anew(self) -> None:
        self.generation += 1
        self.port = bind(self.port, generation=f"g{self.generation}")

    @rule()
    def crash(self) -> None:
        self.epoch, self.sequence = self.epoch + 1, 0

    @rule()
    def look(self) -> None:
        self.on_the_way.append(("look", self.plugged, self._mark()))

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if self.on_the_way:
            message = data.draw(st.sampled_from(self.on_the_way))
            self._deliver(message)
            if data.draw(st.booleans()):
                self.on_the_way.remove(message)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if self.on_the_way:
            self.on_the_way.remove(data.draw(st.sampled_from(self.on_the_way)))

    @rule()
    def look_and_deliver(self) -> None:
        self._deliver(("look", self.plugged, self._mark()))
        is_wired = self.plugged == self.generation
        assert (self.port.status is PortStatus.ACTIVE) is is_wired

    @invariant()
    def active_is_never_awaited(self) -> None:
        if hasattr(self, "port") and self.port.status is PortStatus.ACTIVE:
            assert not self.port.awaiting


TestPlugUnplugReportCrash = PlugUnplugReportCrash.TestCase
TestPlugUnplugReportCrash.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
