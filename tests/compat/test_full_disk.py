"""What the `openstack` command does when the cloud's disk is full: it fails, and leaves nothing half-made."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat.clients import Place, openstack
from tests.compat.clouds import ready

IMAGE = ["image", "create", "--disk-format", "raw", "--container-format", "bare"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    """A cloud on a disk of 8 MiB, in a mount namespace of its own."""
    state = tmp_path / "state"
    disk = state / "cloud"
    disk.mkdir(parents=True)
    up = [sys.executable, "-m", "moorage.cli.entry", "up", "--host-kind", "simulated", "--state-dir", str(state)]
    inside = f"mount -t tmpfs -o size=8m none {shlex.quote(str(disk))} && exec {shlex.join(up)} --listen 127.0.0.1:0"
    with subprocess.Popen(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", inside],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            yield Place(ready(running), state / "clouds.yaml", tmp_path)
        finally:
            running.terminate()
            running.communicate()


def test_an_image_that_has_no_room_is_refused_and_stays_empty(small: Place, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(20 << 20))
    (tmp_path / "little").write_bytes(bytes(1 << 20))
    refused = openstack(small, *IMAGE, "--file", str(tmp_path / "big"), "big")
    assert "413" in refused.message
    assert "Image storage media is full" in refused.message
    for image in openstack(small, "image", "list", "--long", "-f", "json").json:
        assert image["Name"] != "big" or image["Status"] == "queued"
    made = openstack(small, *IMAGE, "--file", str(tmp_path / "little"), "little", "-f", "json").json
    assert made["status"] == "active"
