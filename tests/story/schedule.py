"""A random day of a small cloud, by a seed: what users ask, what fails, what is restarted, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.story.faults import Fault
from tests.story.mishaps import Mishap


class Deed(StrEnum):
    # of users, to one server
    CREATE = "create"
    DELETE = "delete"
    STOP = "stop"
    START = "start"
    REBOOT = "reboot"
    REBOOT_HARD = "reboot hard"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBUILD = "rebuild"
    # of fate
    CALLS = "some calls fail"
    MESSAGES = "some messages go astray"
    AGENT = "an agent restarts"
    COMPUTE = "a host's compute restarts"
    SERVICE = "a service of the control plane restarts"
    VSWITCHD = "vswitchd restarts"
    OVSDB = "the switch's database is away"
    DHCP = "a DHCP server dies"
    BUS = "the bus is away"
    CUT = "a host is cut off"


ACTS = {
    Deed.DELETE: 3,
    Deed.STOP: 3,
    Deed.START: 3,
    Deed.REBOOT: 2,
    Deed.REBOOT_HARD: 3,
    Deed.PAUSE: 1,
    Deed.UNPAUSE: 2,
    Deed.SUSPEND: 1,
    Deed.RESUME: 2,
    Deed.REBUILD: 2,
}
BLOWS = {
    Deed.CALLS: 10,
    Deed.MESSAGES: 6,
    Deed.AGENT: 3,
    Deed.COMPUTE: 3,
    Deed.SERVICE: 3,
    Deed.VSWITCHD: 1,
    Deed.OVSDB: 1,
    Deed.DHCP: 1,
    Deed.BUS: 1,
}


@dataclass(frozen=True)
class Happening:
    """`which` server, host or service; `kind`, `at` (calls from now on) and `lasting` are of faults and mishaps."""

    when: float  # seconds from the beginning
    deed: Deed
    which: int = 0
    away: float = 0.0  # seconds until what was stopped is started again
    kind: StrEnum | None = None
    at: int = 0
    lasting: int = 1

    def __str__(self) -> str:
        what = f", {self.kind}, from call {self.at} on, {self.lasting} times" if self.kind else ""
        away = f", away {self.away:.2f} s" if self.away else ""
        return f"{self.when:7.3f} {self.deed} {self.which}{what}{away}"


def plan(
    seed: int, *, servers: int = 6, seconds: float = 60.0, hosts: int = 2, is_rough: bool = False
) -> list[Happening]:
    """What happens, in its order. Rough: hosts and services may be away so long that they are thought dead."""
    random = Random(seed)
    happenings = []
    for server in range(servers):
        when = random.uniform(0, seconds / 3)
        happenings.append(Happening(when, Deed.CREATE, server))
        for _ in range(random.randrange(4)):
            when += random.choice((random.uniform(0, 0.03), random.uniform(0, 2), random.uniform(0, seconds / 3)))
            [act] = random.choices(list(ACTS), weights=list(ACTS.values()))
            happenings.append(Happening(when, act, server))
    happenings += [_blow(random, seconds, hosts, is_rough=is_rough) for _ in range(random.randrange(4, 16))]
    return sorted(happenings, key=lambda one: one.when)


def _blow(random: Random, seconds: float, hosts: int, *, is_rough: bool) -> Happening:
    deeds = {**BLOWS, Deed.CUT: 2} if is_rough else BLOWS
    [deed] = random.choices(list(deeds), weights=list(deeds.values()))
    when, lasting, at = random.uniform(0, seconds), random.choice((1, 1, 1, 2, 5, 20)), random.randrange(60)
    longest = 30.0 if is_rough else 3.0
    away = random.choice((0.0, random.uniform(0, 0.1), random.uniform(0, longest)))
    match deed:
        case Deed.CALLS:
            return Happening(when, deed, kind=random.choice(list(Fault)), at=at, lasting=lasting)
        case Deed.MESSAGES:
            return Happening(when, deed, kind=random.choice(list(Mishap)), at=at % 20, lasting=min(lasting, 5))
        case Deed.SERVICE:
            return Happening(when, deed, random.randrange(2), away=away)
        case _:
            return Happening(when, deed, random.randrange(hosts), away=away)


def told(happenings: Sequence[Happening]) -> str:
    return "\n".join(map(str, happenings))
