"""What is kept of each guest on disk."""

from pathlib import Path

from moorage.adapters.qemu.records import CONSOLE_FULL, CONSOLE_SIZE, Record, Records
from moorage.domain.ids import PortId, ServerId
from moorage.seams.hypervisor import Guest, GuestImage, Nic

SERVER = ServerId("5e000000-0000-4000-8000-000000000001")
NIC = Nic(PortId("p1"), "fa:16:3e:00:00:01", "tap1", mtu=1450)
GUEST = Guest(SERVER, "web", 1, 96, 0, GuestImage(disk=Path("/images/disk"), disk_format="qcow2"), (NIC,))


def test_a_record_is_read_as_it_was_written_until_it_is_forgotten(tmp_path: Path) -> None:
    Records(tmp_path).keep(Record(GUEST, uid=64_000))
    assert Records(tmp_path).find(SERVER) == Record(GUEST, uid=64_000)
    assert Records(tmp_path).all() == [Record(GUEST, uid=64_000)]
    for _ in range(2):
        Records(tmp_path).forget(SERVER)
        assert Records(tmp_path).all() == []
    assert list(tmp_path.iterdir()) == []


def test_a_console_is_read_from_its_end_and_cut_before_it_fills_the_disk(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.written(SERVER) == b""
    records.keep(Record(GUEST))
    log = records.console(SERVER)
    log.write_bytes(b"first\n" + b"x" * CONSOLE_SIZE)
    records.cut_console(SERVER)
    assert records.written(SERVER) == b"x" * CONSOLE_SIZE
    with log.open("ab") as qemu:
        qemu.write(b"y" * CONSOLE_FULL)
        qemu.flush()
        records.cut_console(SERVER)
        assert log.stat().st_size == 0
        assert records.written(SERVER) == b"y" * CONSOLE_SIZE
        qemu.write(b"last\n")  # it has the file open all the time
    assert log.stat().st_size == 5
    assert records.written(SERVER) == b"y" * (CONSOLE_SIZE - 5) + b"last\n"


def test_the_last_words_are_those_of_the_last_start(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.keep(Record(GUEST))
    records.log(SERVER).write_text("qemu: long ago\n")
    records.clear_words(SERVER)
    assert records.last_words(SERVER) == ""
    records.log(SERVER).write_text("qemu: no such disk\n")
    assert records.last_words(SERVER) == "qemu: no such disk"
