"""OVSDB's stream is cut into the messages that were sent, wherever the network cut it."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.ovsdb.framing import Framing

NASTY = [
    {},
    {"a": "}{"},
    {"a": '"}', "b": {"c": ["{", "\\", '\\"', "}}}}"]}},
    {'"{': {'\\"}': {}}},
    {"é": "\u2028{ \n"},
    {"id": 1, "result": [{"uuid": ["uuid", "x"]}, {}], "error": None},
]
SENT = b"".join(json.dumps(message, ensure_ascii=number % 2 == 0).encode() for number, message in enumerate(NASTY))

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('{}[]"\\ aé\n,:')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('{}"\\a')), inner, max_size=4),
)
messages = st.lists(st.dictionaries(st.text(max_size=3), anything, max_size=4), max_size=5)


@pytest.mark.parametrize("at", range(len(SENT) + 1))
def test_a_stream_may_be_cut_at_any_byte(at: int) -> None:
    framing = Framing()
    received = framing.feed(SENT[:at]) + framing.feed(SENT[at:])
    assert [json.loads(message) for message in received] == NASTY


def test_a_stream_may_come_byte_by_byte() -> None:
    framing = Framing()
    received = [message for at in range(len(SENT)) for message in framing.feed(SENT[at : at + 1])]
    assert [json.loads(message) for message in received] == NASTY


@given(
    messages, st.lists(st.integers(1, 9), min_size=1), st.sampled_from(["", " ", "\n\t "]), st.sampled_from([None, 1])
)
def test_what_was_sent_is_received(
    sent: list[dict[str, object]], cuts: list[int], between: str, indent: int | None
) -> None:
    stream = "".join(json.dumps(message, ensure_ascii=False, indent=indent) + between for message in sent).encode()
    framing, received, at, turn = Framing(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        received += framing.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert [json.loads(message) for message in received] == sent


@pytest.mark.parametrize("stream", [b"}", b"{}}", b"x{}", b'"a"{}', b"{}[]{}", b"12 {"])
def test_what_is_no_stream_of_objects_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="stream of JSON objects"):
        Framing().feed(stream)


def test_a_long_message_in_small_pieces_takes_time_in_proportion_to_its_length() -> None:
    row = {"external_ids": ["map", [["iface-id", 'a "quoted" {id}'], ["attached-mac", "fa:16:3e:00:00:01"]]]}
    stream = json.dumps({"result": {str(number): row for number in range(20_000)}}).encode()
    assert len(stream) > 2_000_000
    framing, received = Framing(), []
    began = time.perf_counter()
    for at in range(0, len(stream), 4096):
        received += framing.feed(stream[at : at + 4096])
    assert received == [stream]
    assert time.perf_counter() - began < 2  # 0.06 s when alone; parsing anew at each piece would take a minute
