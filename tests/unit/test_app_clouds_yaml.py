"""clouds.yaml: ours, and those that people write."""

from pathlib import Path

import pytest

from moorage.app.cloud import Credentials
from moorage.app.clouds_yaml import Account, account_in, find_account, find_entry, openrc, read_entry, rendered
from moorage.domain.errors import Invalid, NotFound

URL = "http://127.0.0.1:8780"
ADA = Credentials(user="demo", password='p"a ss: #1', project="demo")
ROOT = Credentials(user="admin", password="secret", project="admin")

THEIRS = """
# by hand
clouds:
  'other':
    auth:
      auth_url: http://elsewhere/identity/v3/   # trailing slash
      username: bob
      password: 'it''s'
      project_name: "bob's"
    regions:
      - one
      - two
  last: {}
"""


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "clouds.yaml"
    path.write_text(rendered(URL, {"moorage": ADA, "moorage-admin": ROOT}))
    return path


def test_what_is_written_is_read_again(ours: Path) -> None:
    assert account_in(ours, "moorage") == Account(f"{URL}/identity/v3", "demo", 'p"a ss: #1', "demo")
    assert account_in(ours, "moorage-admin") == Account(f"{URL}/identity/v3", "admin", "secret", "admin")


def test_what_openstack_clients_need_is_there(ours: Path) -> None:
    entry = read_entry(ours.read_text(), "moorage")
    assert entry is not None
    assert entry["region_name"] == "RegionOne"
    assert entry["identity_api_version"] == "3"
    assert (entry["user_domain_id"], entry["project_domain_id"]) == ("default", "default")


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text(THEIRS)
    assert account_in(tmp_path / "theirs.yaml", "other") == Account(
        "http://elsewhere/identity/v3", "bob", "it's", "bob's"
    )


def test_an_entry_that_lacks_something_says_what(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text(THEIRS)
    with pytest.raises(Invalid, match="auth_url, username, password, project_name missing"):
        account_in(tmp_path / "theirs.yaml", "last")


def test_the_state_directorys_cloud_is_the_default(ours: Path) -> None:
    assert find_account(None, ours, {}).user == "demo"


def test_os_cloud_names_another(ours: Path) -> None:
    assert find_account(None, ours, {"OS_CLOUD": "moorage-admin"}).user == "admin"


def test_the_option_goes_before_os_cloud(ours: Path) -> None:
    assert find_account("moorage", ours, {"OS_CLOUD": "moorage-admin"}).user == "demo"


def test_a_named_file_goes_before_the_state_directorys(ours: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(THEIRS)
    environ = {"OS_CLOUD": "other", "OS_CLIENT_CONFIG_FILE": str(theirs)}
    assert find_account(None, ours, environ).user == "bob"


def test_a_state_directory_that_is_named_goes_before_other_files(ours: Path, tmp_path: Path) -> None:
    """Two clouds of one name: the shell still knows the other one."""
    other = tmp_path / "other.yaml"
    other.write_text(rendered("http://elsewhere", {"moorage": ROOT}))
    environ = {"OS_CLOUD": "moorage", "OS_CLIENT_CONFIG_FILE": str(other)}
    assert find_account(None, ours, environ).user == "admin"
    assert find_account(None, ours, environ, is_first=True).user == "demo"
    assert find_entry(None, ours, environ)[:2] == (ours, "moorage")


def test_an_entry_is_found_by_os_cloud_with_its_file(ours: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(THEIRS)
    environ = {"OS_CLOUD": "other", "OS_CLIENT_CONFIG_FILE": str(theirs)}
    assert find_entry(None, ours, environ)[:2] == (theirs, "other")
    assert find_entry("moorage-admin", ours, environ)[:2] == (ours, "moorage-admin")
    assert find_entry(None, ours, {})[:2] == (ours, "moorage")


def test_variables_alone_are_enough(ours: Path) -> None:
    account = find_account("moorage", ours, {})
    lines = [line.removeprefix("export ").partition("=") for line in openrc(account).splitlines()]
    environ = {name: value.strip("'") for name, _, value in lines}
    assert find_account(None, ours, environ) == account


def test_no_cloud_at_all_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="moorage up"):
        find_account(None, tmp_path / "clouds.yaml", {})


def test_an_unknown_name_says_where_it_was_looked_for(ours: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find_account("mars", ours, {"HOME": "/nowhere", "OS_CLIENT_CONFIG_FILE": str(ours)})
    assert caught.value.message.count(str(ours)) == 1
