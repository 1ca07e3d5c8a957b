"""The replica is what the server has, after each of its updates."""

import pytest

from moorage.adapters.ovsdb.replica import Replica
from moorage.adapters.ovsdb.values import Kind

COLUMNS = {
    "Bridge": {"name": Kind.ONE, "ports": Kind.SET},
    "Port": {"name": Kind.ONE, "tag": Kind.OPTIONAL, "other_config": Kind.MAP},
}


def a_replica() -> Replica:
    replica = Replica(COLUMNS)
    replica.apply(
        {
            "Bridge": {"b": {"initial": {"name": "br-int", "ports": ["set", [["uuid", "p"], ["uuid", "q"]]]}}},
            "Port": {"p": {"insert": {"name": "tap1", "tag": 4095, "other_config": ["map", [["a", "1"], ["b", "2"]]]}}},
        }
    )
    return replica


def test_columns_that_are_left_out_are_empty() -> None:
    replica = Replica(COLUMNS)
    replica.apply({"Bridge": {"b": {"insert": {}}}, "Port": {"p": {"insert": {"name": "x"}}}})
    assert replica.tables["Bridge"]["b"] == {"name": "", "ports": ()}
    assert replica.tables["Port"]["p"] == {"name": "x", "tag": None, "other_config": {}}


def test_a_single_reference_is_a_set_of_one() -> None:
    replica = Replica(COLUMNS)
    replica.apply({"Bridge": {"b": {"insert": {"ports": ["uuid", "p"]}}}})
    assert replica.tables["Bridge"]["b"]["ports"] == ("p",)


def test_a_changed_set_tells_who_came_or_went() -> None:
    replica = a_replica()
    replica.apply({"Bridge": {"b": {"modify": {"ports": ["set", [["uuid", "q"], ["uuid", "r"]]]}}}})
    assert replica.tables["Bridge"]["b"]["ports"] == ("p", "r")


def test_a_changed_map_tells_pairs_that_came_went_or_changed() -> None:
    replica = a_replica()
    replica.apply({"Port": {"p": {"modify": {"other_config": ["map", [["a", "1"], ["b", "3"], ["c", "4"]]]}}}})
    assert replica.tables["Port"]["p"]["other_config"] == {"b": "3", "c": "4"}


@pytest.mark.parametrize(("notation", "tag"), [(7, 7), (["set", []], None), (["set", [5]], 5)])
def test_a_changed_optional_value_is_told_as_it_is_now(notation: object, tag: int | None) -> None:
    replica = a_replica()
    replica.apply({"Port": {"p": {"modify": {"tag": notation}}}})
    assert replica.tables["Port"]["p"]["tag"] == tag


def test_a_row_that_was_read_is_never_changed() -> None:
    replica = a_replica()
    before = replica.tables["Port"]["p"]
    replica.apply({"Port": {"p": {"modify": {"tag": 7, "other_config": ["map", [["a", "1"]]]}}}})
    assert before == {"name": "tap1", "tag": 4095, "other_config": {"a": "1", "b": "2"}}


def test_after_a_reconnect_what_is_not_told_is_gone() -> None:
    replica = a_replica()
    replica.replace({"Port": {"z": {"initial": {"name": "tap2"}}}})
    assert replica.tables == {
        "Bridge": {},
        "Port": {"z": {"name": "tap2", "tag": None, "other_config": {}}},
    }


@pytest.mark.parametrize("change", [{"delete": None}, {"modify": {"tag": 1}}])
def test_an_update_of_a_row_that_is_unknown_says_that_the_replica_is_worthless(change: object) -> None:
    with pytest.raises(ValueError, match="unknown row"):
        a_replica().apply({"Port": {"nobody": change}})
