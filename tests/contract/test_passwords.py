"""What every hasher of passwords does: Argon2, and its fast twin in memory."""

import asyncio

import pytest

from moorage.adapters.argon2.passwords import MAX_WAITING, ArgonPasswords
from moorage.adapters.memory.passwords import MemoryPasswords
from moorage.domain.errors import Unavailable
from moorage.seams.passwords import Passwords


@pytest.fixture(params=[ArgonPasswords, MemoryPasswords])
def passwords(request: pytest.FixtureRequest) -> Passwords:
    made: Passwords = request.param()
    return made


async def test_only_the_password_matches(passwords: Passwords) -> None:
    hashed = await passwords.hash("pa%!=@&ß")
    assert "pa%" not in hashed
    assert await passwords.matches("pa%!=@&ß", hashed)
    assert not await passwords.matches("other", hashed)
    assert not await passwords.matches("", hashed)


async def test_one_password_is_never_hashed_alike(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


@pytest.mark.parametrize("nothing", [None, "", "nonsense"])
async def test_nothing_matches_no_hash(passwords: Passwords, nothing: str | None) -> None:
    assert not await passwords.matches("nobody's", nothing)
    assert not await passwords.matches("", nothing)


async def test_too_many_logins_at_once_are_told_so() -> None:
    passwords = ArgonPasswords()
    hashed = await passwords.hash("x")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(passwords.matches("x", hashed)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await passwords.matches("x", hashed)
        for task in asked[8:]:
            task.cancel()
    assert all([task.result() for task in asked[:8]])
