"""The state directory: private, held by one, purged of what is ours and nothing else."""

import os
from pathlib import Path

import pytest

from moorage.app import processes
from moorage.app.state import (
    Running,
    StateDir,
    default_cache_dir,
    default_state_dir,
    failure_log,
    parse_listen,
    write_private,
)
from moorage.domain.errors import Conflict, Invalid, Unavailable


def me() -> Running:
    pid = os.getpid()
    started = processes.started(pid)
    assert started is not None
    return Running(pid, started, "127.0.0.1:8780", "http://127.0.0.1:8780", "simulated")


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "deep" / "state")
    state.make()
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_it_cannot_be_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"):
        StateDir(tmp_path / "file" / "state").make()


def test_only_one_cloud_runs_in_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    with state.held():
        state.write_running(me())
        with pytest.raises(Conflict, match=f"pid {os.getpid()}"), state.held():
            raise AssertionError("two hold it")
        assert state.running() == me()
    assert not state.is_held()


def test_it_is_free_again_after_its_holder(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    with state.held():
        assert state.is_held()
        state.write_running(me())
    assert state.running() is None
    with state.held():
        assert state.is_held()


def test_one_that_was_killed_does_not_run(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.write_running(Running(os.getpid(), 1, "127.0.0.1:8780", "http://127.0.0.1:8780", "simulated"))
    assert state.running() is None


def test_a_purge_leaves_the_files_of_others(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.cloud.mkdir()
    (state.cloud / "network.sqlite").write_text("")
    write_private(state.clouds_yaml, "clouds: {}\n")
    (tmp_path / "thesis.txt").write_text("")
    state.purge()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_purge_of_what_is_ours_alone_leaves_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "moorage")
    with state.held():
        state.cloud.mkdir()
    failure_log({"XDG_STATE_HOME": str(tmp_path)}).write_text("a trace")
    state.purge()
    assert not state.path.exists()


def failing(state: StateDir, logged: str) -> None:
    with state.held():
        state.log.write_text(logged)
        raise Unavailable("no")


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "moorage")
    with pytest.raises(Unavailable):
        failing(state, logged="")
    assert not state.path.exists()


def test_a_start_that_fails_leaves_what_was_there_and_what_was_logged(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with pytest.raises(Unavailable):
        failing(state, logged="a line")
    assert [path.name for path in tmp_path.iterdir()] == ["moorage.log"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"^{tmp_path}/absent/x cannot be written: No such file"):
        write_private(tmp_path / "absent" / "x", "")


def test_private_files_are_for_their_owner_alone_also_when_written_again(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    write_private(path, "one")
    write_private(path, "two")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("two", 0o600)


def test_where_things_are_kept() -> None:
    assert default_state_dir({"HOME": "/home/ada"}) == Path("/home/ada/.local/state/moorage")
    assert default_state_dir({"HOME": "/home/ada", "XDG_STATE_HOME": "/var/ada"}) == Path("/var/ada/moorage")
    assert default_cache_dir({"HOME": "/home/ada", "XDG_CACHE_HOME": "not/absolute"}) == Path(
        "/home/ada/.cache/moorage"
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8780", ("127.0.0.1", 8780)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1]:8799", ("fe80::1", 8799)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_addresses_to_listen_on(text: str, parts: tuple[str, int]) -> None:
    assert parse_listen(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8780",
        ":8780",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "host:-1",
        "::1:80",
        "[]:80",
        "[::1]",
        "[127.0.0.1]:80",
    ],
)
def test_what_is_no_address_to_listen_on(text: str) -> None:
    with pytest.raises(Invalid, match=r"no ADDR:PORT"):
        parse_listen(text)
