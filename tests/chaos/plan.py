"""What a seed stands for: lives of servers, and the deaths among which they are lived. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.cluster import PARTS

LIVES: Sequence[Sequence[str]] = (
    ("boot",),
    ("boot",),
    ("boot", "stop"),
    ("boot", "stop", "start"),
    ("boot", "stop", "start"),
    ("boot", "delete at once"),
    ("boot", "delete"),
    ("boot", "stop", "delete at once"),
)
ENDS = {"boot": "ACTIVE", "start": "ACTIVE", "stop": "SHUTOFF", "delete": "DELETED", "delete at once": "DELETED"}
LASTING = 0.2  # of the servers: a host has room for 32
BETWEEN_BOOTS = 0.7  # seconds, in the mean
MORTAL = tuple(part for part in PARTS if not part.startswith(("identity", "image")))


@dataclass(frozen=True)
class Life:
    """A server's: asked for `at` seconds after the beginning; `pauses` go before its later deeds. One that `lasts`
    stays to the end, the others are cleared away once they have come to what was asked."""

    at: float
    deeds: Sequence[str]
    pauses: Sequence[float]  # seconds
    lasts: bool

    @property
    def wanted(self) -> str:
        return ENDS[self.deeds[-1]]


@dataclass(frozen=True)
class Death:
    """Parts that are killed together, `at` seconds after the beginning, and started again after `away` seconds."""

    at: float
    parts: Sequence[str]
    away: float


@dataclass(frozen=True)
class Plan:
    lives: Sequence[Life]
    deaths: Sequence[Death]


def plan(seed: int, boots: int) -> Plan:
    """The same for a seed, always."""
    dice = random.Random(seed)
    lives, at = list[Life](), 0.0
    for _ in range(boots):
        deeds = dice.choice(LIVES)
        pauses = [dice.uniform(0.0, 1.0) if "at once" in deed else dice.uniform(0.0, 3.0) for deed in deeds[1:]]
        lives.append(Life(at, deeds, pauses, lasts=dice.random() < LASTING))
        at += dice.expovariate(1 / BETWEEN_BOOTS)
    deaths, when = list[Death](), dice.uniform(0.2, 1.0)
    while when < at + 3.0:
        parts = dice.sample(MORTAL, dice.choice((1, 1, 1, 2, 2, 3)))
        deaths.append(Death(when, parts, dice.choice((0.0, 0.0, dice.uniform(0.0, 2.0)))))
        when += dice.uniform(0.3, 4.0)
    return Plan(lives, deaths)
