"""What is kept of a netns guest."""

from pathlib import Path

from moorage.adapters.netns.records import CONSOLE_SIZE, Record, Records
from moorage.domain.ids import PortId, ServerId
from moorage.seams.hypervisor import GuestState, Nic

WEB = ServerId("aaaaaaaa-0000-4000-8000-000000000001")
RECORD = Record(WEB, "<web>", (Nic(PortId("p"), "fa:16:3e:00:00:01", "tapp"),), wanted=GuestState.RUNNING)


def test_a_record_is_found_as_it_was_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    records = Records(tmp_path / "guests")
    assert records.all() == []
    records.make(RECORD)
    assert records.find(WEB) == RECORD
    assert records.all() == [RECORD]
    assert "hello from &lt;web&gt;" in (records.home(WEB) / "www" / "index.html").read_text()
    for _ in range(2):
        records.forget(WEB)
        assert records.find(WEB) is None


def test_a_console_log_does_not_fill_the_disk_and_keeps_its_end(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.make(RECORD)
    assert records.written(WEB) == b""
    records.console(WEB).write_bytes(b"x" * 5 * CONSOLE_SIZE + b"the end\n")
    records.cut_console(WEB)
    with records.console(WEB).open("ab") as console:
        console.write(b"and on\n")
    written = records.written(WEB)
    assert len(written) == CONSOLE_SIZE
    assert written.endswith(b"xthe end\nand on\n")
