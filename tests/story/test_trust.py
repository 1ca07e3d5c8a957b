"""Tokens verified away from identity, by what it publishes: known within two seconds, and nobody is asked meanwhile."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from tests.story.clouds import USERS, Story, story

from moorage.adapters.files.private_key import make_private_key
from moorage.adapters.http.session import PasswordTokens, Session
from moorage.adapters.http.transport import InProcess, Reply
from moorage.adapters.http.trust_client import HttpTrust
from moorage.domain.errors import NotFound, Unavailable
from moorage.identity.tokens import Signer
from moorage.identity.trusting import TrustingVerifier
from moorage.kit.supervise import supervise
from moorage.seams.tokens import Trust, TrustSource

KNOWN_WITHIN = 2.0  # seconds


@dataclass
class Way:
    """To identity; it can be broken, and notes what was asked and answered."""

    real: InProcess
    is_broken: bool = False
    answers: list[tuple[str, str, int]] = field(default_factory=list)

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        if self.is_broken:
            raise Unavailable("the way is broken")
        reply = await self.real.request(method, url, headers, body)
        self.answers.append((method, url.partition("?")[0].removeprefix("http://moorage"), reply.status))
        return reply

    def download(self, url: str, headers: Mapping[str, str]):  # type: ignore[no-untyped-def]
        raise NotImplementedError


@dataclass
class Elsewhere:
    """Another process's view: its way to identity, its service user's tokens, its verifier."""

    way: Way
    tokens: PasswordTokens
    source: HttpTrust
    verifier: TrustingVerifier


def elsewhere(
    cloud: Story, user: str = "glance", wrap: Callable[[TrustSource], TrustSource] = lambda s: s
) -> Elsewhere:
    clock = cloud.plane.parts.clock
    way = Way(InProcess(cloud.plane.app))
    tokens = PasswordTokens(way, "http://moorage/identity", user, USERS[user], "service", clock)
    source = HttpTrust(Session(way, "http://moorage/identity", tokens))
    return Elsewhere(way, tokens, source, TrustingVerifier(wrap(source), clock))


async def token(cloud: Story, user: str = "demo", project: str = "demo") -> str:
    return await cloud.plane.identity.issue_for(user, project)


async def test_nobody_is_believed_before_identity_was_heard() -> None:
    async with story() as cloud:
        there = elsewhere(cloud)
        text = await token(cloud)
        with pytest.raises(Unavailable):
            await there.verifier.verify(text)
        await there.verifier.begin()
        assert (await there.verifier.verify(text)).user_name == "demo"
        with pytest.raises(NotFound):
            await there.verifier.verify(text[:-2] + "xx")


async def test_what_is_revoked_counts_nowhere_within_two_seconds() -> None:
    async with story() as cloud:
        there = elsewhere(cloud)
        await there.verifier.begin()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(supervise([("trust", there.verifier.run)]))
            for wait in (0.0, 0.3, 0.9):  # wherever in its second it is
                await asyncio.sleep(wait)
                text = await token(cloud)
                await there.verifier.verify(text)
                await cloud.plane.identity.take_back(text)
                await asyncio.sleep(KNOWN_WITHIN)
                with pytest.raises(NotFound):
                    await there.verifier.verify(text)
            running.cancel()


async def test_nothing_new_is_not_sent_again_and_one_login_is_enough() -> None:
    async with story() as cloud:
        there = elsewhere(cloud)
        for _ in range(5):
            await there.verifier.begin()
        asked = [status for _, path, status in there.way.answers if path == "/identity/moorage/trust"]
        assert asked == [200, 304, 304, 304, 304]
        await cloud.plane.identity.take_back(await token(cloud))
        await there.verifier.begin()
        assert there.way.answers[-1][2] == 200
        assert [path for method, path, _ in there.way.answers if method == "POST"] == ["/identity/v3/auth/tokens"]


async def test_while_identity_is_away_tokens_count_on_and_that_is_a_reason_not_to_be_ready() -> None:
    async with story() as cloud:
        there = elsewhere(cloud)
        await there.verifier.begin()
        text = await token(cloud)
        there.way.is_broken = True
        async with asyncio.TaskGroup() as group:
            running = group.create_task(supervise([("trust", there.verifier.run)]))
            await asyncio.sleep(5)
            assert await there.verifier.reasons() == []
            await asyncio.sleep(10)
            [reason] = await there.verifier.reasons()
            assert reason.startswith("identity has not been heard for")
            assert (await there.verifier.verify(text)).user_name == "demo"
            there.way.is_broken = False
            await asyncio.sleep(1.5)
            assert await there.verifier.reasons() == []
            running.cancel()


@dataclass
class OfAnotherKey:
    real: TrustSource
    key: bytes | None = None

    async def trust(self) -> Trust:
        trust = await self.real.trust()
        return trust if self.key is None else replace(trust, public_key=self.key)


async def test_a_new_key_of_identity_ends_the_tokens_of_the_one_before() -> None:
    async with story() as cloud:
        sources: list[OfAnotherKey] = []

        def wrap(real: TrustSource) -> TrustSource:
            sources.append(OfAnotherKey(real))
            return sources[0]

        there = elsewhere(cloud, wrap=wrap)
        await there.verifier.begin()
        text = await token(cloud)
        await there.verifier.verify(text)
        sources[0].key = Signer(make_private_key()).public_key
        await there.verifier.begin()
        with pytest.raises(NotFound):
            await there.verifier.verify(text)


async def test_what_is_revoked_is_for_services_alone() -> None:
    async with story() as cloud:
        for user, project, status in (("demo", "demo", 403), ("nova", "service", 200), ("admin", "admin", 200)):
            reply = await cloud.plane.session("identity", user, project).call("GET", "/moorage/trust")
            assert reply.status == status, user
        reply = await InProcess(cloud.plane.app).request("GET", "http://moorage/identity/moorage/trust", {})
        assert reply.status == 401


async def test_who_come_together_log_in_once_also_after_a_token_was_refused() -> None:
    async with story() as cloud:
        there = elsewhere(cloud, "nova")
        servers = replace(there.source.session, base="http://moorage/compute/v2.1")
        replies = await asyncio.gather(*(servers.call("GET", "/servers") for _ in range(10)))
        assert {reply.status for reply in replies} == {200}
        await cloud.plane.identity.take_back(await there.tokens.token())
        replies = await asyncio.gather(*(servers.call("GET", "/servers") for _ in range(10)))
        assert {reply.status for reply in replies} == {200}
        logins = [path for method, path, _ in there.way.answers if method == "POST"]
        assert logins == ["/identity/v3/auth/tokens"] * 2
