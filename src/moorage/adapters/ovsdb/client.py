"""An OVSDB client that connects again for ever, with a replica of what it monitors."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Never

import structlog

from moorage.adapters.ovsdb.replica import Columns, Replica
from moorage.adapters.ovsdb.session import Refused, Session
from moorage.domain.errors import Conflict, Invalid, MoorageError, Unavailable
from moorage.kit.translating import translating

log = structlog.get_logger(__name__)

Operation = dict[str, Any]
Result = dict[str, Any]
NO_TRANSACTION = "00000000-0000-0000-0000-000000000000"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds before connecting again
_CONFLICTS = {"constraint violation", "referential integrity violation", "timed out", "aborted", "not owner"}
_PASSING = {"resources exhausted", "I/O error", "not leader"}  # RFC 7047, section 3.1, and ovsdb-server(7)


class OvsdbClient:
    """Give `run` to a supervisor; then transactions work and `replica` follows the server.

    `changed(anew)` is called after every change of the replica, `anew` when it was made again after connecting; it must
    not raise. `remote` is "unix:PATH" or "tcp:HOST:PORT".
    """

    def __init__(
        self,
        remote: str,
        columns: Columns,
        changed: Callable[[bool], None],
        *,
        database: str = "Open_vSwitch",
        timeout: float = 10.0,  # seconds, for each request
        patience: float = 1.0,  # seconds that a request waits for the connection to be made
        probe_every: float = 10.0,  # seconds
        on_sent: Callable[[], None] = lambda: None,  # called for each transaction
    ) -> None:
        self.replica = Replica(columns)
        self._remote = remote
        self._changed = changed
        self._database = database
        self._timeout = timeout
        self._patience = patience
        self._probe_every = probe_every
        self._on_sent = on_sent
        self._session: Session | None = None
        self._up = asyncio.Event()
        self._last_transaction = NO_TRANSACTION

    @property
    def is_up(self) -> bool:
        """Connected, and the replica complete."""
        return self._up.is_set()

    async def run(self) -> Never:
        """Keep connected until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._once()
                pause = _FIRST_PAUSE
                log.warning("the connection to the switch's database was lost", remote=self._remote)
            except (OSError, Refused, ValueError) as error:
                log.debug("the switch's database cannot be reached", remote=self._remote, error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def connected(self) -> None:
        """Wait until the replica is complete, `patience` at most. Raises Unavailable."""
        if self._up.is_set():
            return
        with translating({TimeoutError: Unavailable}, f"not connected to the switch's database at {self._remote}"):
            async with asyncio.timeout(self._patience):
                await self._up.wait()

    def start(self, operations: Sequence[Operation]) -> asyncio.Future[list[Result]]:
        """Send a transaction now; for those who wait for several things at once, with a deadline of their own.

        Raises ConnectionError, and so does the future; the future also raises Conflict and Invalid.
        """
        if self._session is None:
            raise ConnectionError("not connected to the switch's database")
        params = [self._database, *operations]
        self._on_sent()
        return self._session.request("transact", params, lambda replies: _results(operations, replies))

    async def transact(self, operations: Sequence[Operation], act: str) -> list[Result]:
        """The results, when all is committed (vswitchd is not waited for). `act` says in errors what was tried.

        The replica already has what was committed. Raises Conflict (a constraint; nothing was done) and Unavailable (it
        may have been done).
        """
        await self.connected()
        with translating({OSError: Unavailable, Refused: Unavailable}, act):  # TimeoutError is an OSError
            async with asyncio.timeout(self._timeout):
                return await self.start(operations)

    async def catch_up(self) -> None:
        """Return when the replica has all that was committed before this call. Raises Unavailable."""
        await self.connected()
        with translating({OSError: Unavailable, Refused: Unavailable}, "asking the switch's database"):
            async with asyncio.timeout(self._timeout):
                if self._session is None:
                    raise ConnectionError("not connected")
                # The server sends what a session's monitors have to tell before it handles the session's next request.
                await self._session.request("echo", [], lambda _: None)

    async def _once(self) -> None:
        session = await self._connect()
        try:
            async with asyncio.timeout(self._timeout):
                await self._monitor(session)
            self._session = session
            self._up.set()
            log.info("connected to the switch's database", remote=self._remote)
            self._changed(True)
            while not session.ended.is_set():
                try:
                    async with asyncio.timeout(self._probe_every):
                        await session.ended.wait()
                except TimeoutError:
                    async with asyncio.timeout(self._timeout):
                        await session.request("echo", [], lambda _: None)
        except ConnectionError:
            if not self._up.is_set():
                raise
        finally:
            self._session = None
            self._up.clear()
            session.close()

    async def _connect(self) -> Session:
        def make() -> Session:
            return Session(self._notified)

        loop = asyncio.get_running_loop()
        scheme, _, address = self._remote.partition(":")
        async with asyncio.timeout(self._timeout):
            if scheme == "unix":
                return (await loop.create_unix_connection(make, address))[1]
            host, _, port = address.rpartition(":")
            return (await loop.create_connection(make, host.strip("[]"), int(port)))[1]

    async def _monitor(self, session: Session) -> None:
        wanted = {table: [{"columns": list(columns)}] for table, columns in self.replica.columns.items()}

        def since(result: Any) -> None:
            found, last_transaction, updates = result
            self._last_transaction = NO_TRANSACTION  # which stays when this fails
            (self.replica.apply if found else self.replica.replace)(updates)
            self._last_transaction = last_transaction

        try:
            await session.request(
                "monitor_cond_since", [self._database, "moorage", wanted, self._last_transaction], since
            )
        except Refused as error:
            if "unknown method" not in str(error):
                raise
            await session.request("monitor_cond", [self._database, "moorage", wanted], self.replica.replace)

    def _notified(self, method: str, params: list[Any]) -> None:
        since, self._last_transaction = self._last_transaction, NO_TRANSACTION  # which stays when this fails
        match method, params:
            case "update3", [_, last_transaction, updates]:
                self.replica.apply(updates)
                self._last_transaction = last_transaction
            case "update2", [_, updates]:
                self.replica.apply(updates)
                self._last_transaction = since
            case _:  # monitor_canceled: the database was converted or taken away. Begin again.
                raise ValueError(f"the switch's database says {method}")
        if self._up.is_set():
            self._changed(False)


def _results(operations: Sequence[Operation], replies: list[Result | None]) -> list[Result]:
    """The results of a transaction. Raises the error that ended it: one of an operation, or one of the commit."""
    for number, reply in enumerate(replies):
        if reply is None or "error" not in reply:
            continue
        act = operations[number]["op"] if number < len(operations) else "commit"
        raise _error(reply["error"])(f"{act}: {reply['error']}: {reply.get('details', '')}")
    return [reply or {} for reply in replies]


def _error(name: str) -> type[MoorageError]:
    if name in _CONFLICTS:
        return Conflict
    return Unavailable if name in _PASSING else Invalid
