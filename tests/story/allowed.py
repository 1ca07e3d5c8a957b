"""How long each fault and each mishap may cost: what the call itself takes, and who finds what was lost, when."""

from collections.abc import Sequence
from enum import StrEnum

from tests.story.faults import Fault
from tests.story.mishaps import HELD, Mishap
from tests.story.strikes import Allowed, Call, Told

from moorage.agent.agent import LOOK_EVERY
from moorage.app.deadlines import CALL, GUESTS, ON_THE_BUS, STORE
from moorage.compute.expectations import FIRST_LOOK
from moorage.compute.manager import HEARTBEAT_EVERY, RECONCILE_EVERY, STOP_PATIENCE
from moorage.compute.sweeping import SWEEP_EVERY

LATE = 4.0  # seconds: within every limit
READS = frozenset(
    {"show", "hosts", "flavor", "list", "networks", "subnets", "ports", "agents", "default_group", "next_due"}
    | {"look", "plugged", "wired", "state", "states", "serving", "security_groups", "live_agents", "groups"}
)
READING = ("RecordWanted", "UnfinishedWanted", "LookBegins")
CASTS = ("DoJob", "HostEvents", "PortsChanged", "GroupsChanged", "Facts")
# Where nobody is told that something was done, who looks by itself finds it: after so many seconds.
LEASES = {
    "the server store.update": RECONCILE_EVERY,  # its caller got an error; the host looks for what is unfinished
    "the server store.add": 2.0,  # likewise; the placer looks
    "compute DoJob": RECONCILE_EVERY,
    "compute HostEvents network-vif-plugged": FIRST_LOOK,
}
HEALS = LOOK_EVERY  # seconds: an agent's full look finds what the network did and could not say
SWEEPS = 2 * SWEEP_EVERY  # seconds: a second port that was made for one NIC


def kinds_for(name: str) -> Sequence[Fault]:
    """The faults that differ: to read twice is nothing, to read in vain is to get no answer."""
    is_read = _method(name) in READS or name.endswith(READING)
    if _method(name) == "fetch":  # takes as long as data comes; a piece that does not come is its adapter's to miss
        return [kind for kind in Fault if kind is not Fault.HANGS]
    return [Fault.UNAVAILABLE, Fault.HANGS, Fault.LATE] if is_read else list(Fault)


def allowed(call: Call, kind: StrEnum, waits: float = 0.0) -> Allowed:
    """What this strike may cost a tale that takes `waits` seconds by itself."""
    heals = SWEEPS if "create_port" in call.name else HEALS
    return Allowed(waits + _cost(call.name, kind) + LEASES.get(call.name, 0.0), heals)


def all_wrong(told: Sequence[Told], errors: Sequence[str], waits: float = 0.0) -> str:
    """What is wrong with any of these, a line each; "" when nothing is."""
    wrong = [one.verdict(allowed(one.call, one.kind, waits)) for one in told if one.call and one.kind]
    lines = [*filter(None, wrong), *errors]
    return "\n".join([f"{len(told)} were told:", *lines]) if lines else ""


def _cost(name: str, kind: StrEnum) -> float:
    """Seconds until the call that meets it ends, or the message is there."""
    match kind:
        case Fault.HANGS:
            limit = GUESTS.get(_method(name)) or ON_THE_BUS.get(_method(name)) or (STORE if "store" in name else CALL)
            return limit + (STOP_PATIENCE if name.endswith(" patiently") else 0.0)
        case Fault.LATE | Mishap.LATE:
            return LATE
        case Mishap.OVERTAKEN:
            return HELD
        case Mishap.LOST | Mishap.UNANSWERED if not any(cast in name for cast in CASTS):
            return HEARTBEAT_EVERY if "Heartbeat" in name else CALL
    return 0.0


def _method(name: str) -> str:
    return name.partition(".")[2].split(" ")[0]
