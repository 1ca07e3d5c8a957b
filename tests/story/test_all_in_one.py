"""The all-in-one as a process runs it: in real time, on files."""

from pathlib import Path

import pytest

from moorage.adapters.buffered import timeline
from moorage.adapters.database.sqlite import open_sqlite
from moorage.adapters.database.timeline import TIMELINE, DatabaseFactStore
from moorage.app.all_in_one import run_cloud
from moorage.app.config import CloudSettings, HostKind
from moorage.domain.hops import Fact, Hop
from moorage.domain.ids import ServerId


@pytest.mark.looptime(False)
async def test_the_last_fact_before_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "GATHER", 60.0)  # it would wait in the buffer
    server = ServerId("the-last")
    async with run_cloud(CloudSettings(state_dir=tmp_path, host_kind=HostKind.SIMULATED, port=0)) as cloud:
        clock = cloud.plane.parts.clock
        cloud.plane.telling.tell(Fact(Hop.ASKED, clock.now(), clock.monotonic(), "test", server))
    database = open_sqlite(tmp_path / "database" / "timeline.sqlite", TIMELINE)
    try:
        assert [fact.what for fact in await DatabaseFactStore(database).of(server)] == [Hop.ASKED]
    finally:
        await database.close()
