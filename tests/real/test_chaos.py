"""A short crash sweep: parts of a cloud over RabbitMQ and PostgreSQL die at hops of boots, and nothing is lost."""

import json
from pathlib import Path

import pytest
from tests.chaos.__main__ import arguments, chaos
from tests.chaos.cells import SHORT

SEED = 27  # among three deaths one server is stopped and started, two are deleted at once, one lasts


@pytest.mark.timeout(300)
async def test_no_boot_and_no_news_is_lost_when_parts_are_killed_at_hops(tmp_path: Path) -> None:
    result = tmp_path / "chaos.json"
    code = await chaos(arguments(["--short", "--seed", str(SEED), "--json", str(result)]))
    found = json.loads(result.read_text())
    assert found["violations"] == []
    assert code == 0
    assert found["deleted"] >= 2
    assert [(cell["hop"], cell["victim"], cell["counted"]) for cell in found["table"]] == [
        (hop.value, victim, True) for hop, victim in SHORT
    ]
