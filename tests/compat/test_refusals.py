"""What the `openstack` command tells a user who asked for something that cannot be."""

import pytest
from tests.compat.clients import Place, Session, openstack

HELLO = ("--image", "moorage-guest", "--flavor", "m1.tiny")


def test_a_wrong_password_is_told_as_such(place: Place) -> None:
    refused = openstack(place, "--os-password", "wrong", "token", "issue")
    assert "The request you have made requires authentication. (HTTP 401)" in refused.message


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (["--image", "nope", "--flavor", "m1.tiny", "--network", "private"], "No Image found for nope"),
        (["--image", "moorage-guest", "--flavor", "nope", "--network", "private"], "No Flavor found for nope"),
        ([*HELLO, "--network", "nope"], "No Network found for nope"),
        ([*HELLO, "--port", "nope"], "No Port found for nope"),
        ([*HELLO, "--network", "private", "--key-name", "nope"], "Invalid key_name provided."),
        ([*HELLO, "--network", "private", "--security-group", "nope"], "No SecurityGroup found for nope"),
        ([*HELLO, "--network", "private", "--availability-zone", "moon"], "The requested availability zone is not"),
        ([*HELLO, "--network", "private", "--min", "2000", "--max", "2000"], "at most 1000 in one request"),
    ],
)
def test_a_server_that_cannot_be_is_refused_at_once(client: Session, wanted: list[str], told: str) -> None:
    assert told in client.run("server", "create", *wanted, "impossible").message
    assert client.json("server", "list", "--name", "impossible") == []


def test_what_is_not_there_is_told_by_the_name_that_was_asked_for(client: Session) -> None:
    assert client.run("server", "show", "nope").message == "No Server found for nope"
    assert "nope" in client.run("network", "show", "nope").message
    assert "nope" in client.run("image", "show", "nope").message
    assert "nope" in client.run("keypair", "show", "nope").message


def test_a_user_is_told_what_only_admins_may(client: Session) -> None:
    create = client.run("flavor", "create", "--ram", "1", "--vcpus", "1", "--disk", "1", "mine")
    assert "403" in create.message
    assert "os-flavor-manage:create" in create.message
    assert "get_all_tenants" in client.run("server", "list", "--all-projects").message


def test_subnets_that_overlap_are_told(client: Session) -> None:
    again = client.run("subnet", "create", "--network", "private", "--subnet-range", "10.0.0.128/25", "again")
    assert "overlaps with another subnet" in again.message


def test_what_is_not_offered_yet_is_told_as_such(client: Session) -> None:
    server = client.json("server", "create", *HELLO, "--network", "private", "plain")["id"]
    client.until("ACTIVE", server)
    assert "'shelve' is not offered here" in client.run("server", "shelve", server).message
    assert "There are no routers here" in client.run("router", "create", "r").message
    assert "POST is not offered at" in client.run("aggregate", "create", "a", cloud="moorage-admin").message
    client.do("server", "delete", server)
