"""The hops as the processes tell them, out of their logs while they are written: also what a killed one has told."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Accepted

from moorage.domain.events import EventName, ExternalEvent
from moorage.domain.hops import WORDS, Fact, Hop
from moorage.domain.ids import Generation, PortId, ServerId


@dataclass
class Feed:
    """`logs` are the files of all processes that ever were; each is read on from where it was."""

    logs: Callable[[], Sequence[Path]]
    facts: dict[str, list[Fact]] = field(default_factory=dict)  # by server
    tellers: dict[tuple[str, Hop], Path] = field(default_factory=dict)  # whose log told the first of a server's hop
    accepted: list[Accepted] = field(default_factory=list)
    _read: dict[Path, int] = field(default_factory=dict)
    _servers: dict[str, str] = field(default_factory=dict)  # by port

    def look(self) -> None:
        for log in self.logs():
            begun = self._read.get(log, 0)
            if log.exists() and log.stat().st_size > begun:
                with log.open("rb") as lines:
                    lines.seek(begun)
                    text = lines.read()
                whole = text.rfind(b"\n") + 1
                self._read[log] = begun + whole
                for line in text[:whole].splitlines():
                    if b'"hop"' in line or b'"heard"' in line:
                        self._take(json.loads(line), log)

    async def until(self, server: str, hop: Hop, *, within: float = 30.0) -> Fact:
        """Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                self.look()
                for fact in self.facts.get(server, ()):
                    if fact.what is hop:
                        return fact
                await asyncio.sleep(0.002)

    def firsts(self, server: str) -> dict[str, datetime]:
        """When each fact of a server was first told."""
        found: dict[str, datetime] = {}
        for fact in self.facts.get(server, ()):
            found[fact.what] = min(fact.wall, found.get(fact.what, fact.wall))
        return found

    def _take(self, line: dict[str, Any], log: Path) -> None:
        if line["event"] == "heard":
            self._accept(line, datetime.fromisoformat(line["timestamp"]))
            return
        what, port = WORDS[line["hop"]], line.get("port")
        server = line.get("server") or self._servers.get(port or "")
        if server is None:
            return
        if port:
            self._servers[port] = server
        fact = Fact(
            what=what,
            wall=datetime.fromisoformat(line["at"]),
            monotonic=0.0,
            who=line["who"],
            server=ServerId(server),
            port=None if port is None else PortId(port),
            generation=None if line.get("generation") is None else Generation(line["generation"]),
            attempt=line.get("attempt"),
        )
        self.facts.setdefault(server, []).append(fact)
        if isinstance(what, Hop):
            self.tellers.setdefault((server, what), log)
        if what is Hop.HEARD:
            self._accept({**line, "event_name": EventName.VIF_PLUGGED.value}, datetime.fromisoformat(line["timestamp"]))

    def _accept(self, line: dict[str, Any], at: datetime) -> None:
        """Stamped when it was said, which is after the bus had taken it."""
        event = ExternalEvent(EventName(line["event_name"]), ServerId(line["server"]), PortId(line["port"]))
        self.accepted.append(Accepted(at, event))
