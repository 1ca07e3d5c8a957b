"""openstacksdk's cloud layer, which Ansible and others are built on."""

from tests.compat.clients import Place, run_script


def test_the_sdk_makes_a_server_lists_it_and_deletes_it_with_its_port(place: Place) -> None:
    told = run_script(place, "sdk_story.py", "of-the-sdk")
    assert (told["status"], told["vm_state"]) == ("ACTIVE", "active")
    [address] = told["addresses"]["private"]
    assert address["OS-EXT-IPS:type"] == "fixed"
    assert told["private_v4"] == address["addr"]
    assert told["listed"] == [{"name": "of-the-sdk", "private_v4": address["addr"]}]
    assert told["ports"] == [{"status": "ACTIVE", "ip": address["addr"]}]
    assert (told["is_deleted"], told["is_deleted_again"]) == (True, False)
    assert (told["is_found_later"], told["ports_later"]) == (False, 0)
