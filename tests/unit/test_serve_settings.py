"""Settings of `moorage serve`: what is wrong is said at once, each with its cure; secrets are read and never shown."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorage.app.serving.checking import services_in, wrong_in
from moorage.app.serving.reading import Wrong, read_file
from moorage.app.serving.run import checked
from moorage.app.serving.secrets import password_of, with_password
from moorage.app.serving.settings import PasswordSettings, Service
from moorage.app.serving.showing import shown
from moorage.cli.main import app
from moorage.domain.errors import Invalid

SECRET = "s3cret-of-nova"
GOOD = """
[endpoints]
identity = "http://10.0.0.1:8781"
image = "http://10.0.0.1:8782"
compute = "http://10.0.0.1:8783"
network = "http://10.0.0.1:8784"

[users]
admin = {{ password_file = "{place}/nova.password" }}
nova = {{ password_file = "{place}/nova.password" }}
neutron = {{ password_file = "{place}/nova.password" }}
glance = {{ password_file = "{place}/nova.password" }}

[database]
url = "sqlite:{place}/database"

[bus]
url = "amqp://moorage:in-the-url@127.0.0.1/%2F"

[identity]
listen = "127.0.0.1:8781"
token_key_file = "{place}/token.key"

[network]
listen = "127.0.0.1:8784"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    password = tmp_path / "nova.password"
    password.touch(mode=0o600)
    password.write_text(SECRET + "\n")
    file = tmp_path / "moorage.toml"
    file.write_text(GOOD.format(place=tmp_path))
    return file


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def wrong(file: Path) -> list[Wrong]:
    said = read_file(file)
    return wrong_in(said, services_in(said))


def test_a_good_file_is_fine_for_the_services_that_it_has_tables_of(file: Path) -> None:
    assert services_in(read_file(file)) == [Service.IDENTITY, Service.NETWORK]
    assert wrong(file) == []
    assert checked(Service.NETWORK, file).network is not None


@pytest.mark.parametrize(
    ("before", "after", "name", "words"),
    [
        ("listen", "lisen", "identity.lisen", "is listen meant?"),
        ('listen = "127.0.0.1:8781"', "", "identity.listen", "it is missing; `ADDR:PORT` to listen on"),
        ("127.0.0.1:8784", "127.0.0.1", "network.listen", "is no ADDR:PORT"),
        ('"127.0.0.1:8784"', "8784", "network.listen", "Expected `str`, got `int`"),
        ("http://10.0.0.1:8783", "http://10.0.0.1:8783/v2.1", "endpoints.compute", "write it as http://HOST:PORT"),
        ("amqp:", "kafka:", "bus.url", "write it as amqp://USER@HOST/VHOST"),
        ("sqlite:", "mysql://u@h/", "database.url", "write it as postgresql://USER@HOST/NAME"),
        ("neutron = {", "#", "users.neutron", "add [users.neutron] with a password_file"),
        ("/token.key", "/nova.password/token.key", "identity.token_key_file", "is no directory; name another one"),
        ("[identity]", "[tls]\ncert_file = '/c.pem'\n[identity]", "tls", "name both, or neither"),
        ("[identity]", "[tls]\nca_file = '/missing.pem'\n[identity]", "tls.ca_file", "name certificates in PEM"),
    ],
)
def test_each_wrong_thing_is_named_with_its_cure(file: Path, before: str, after: str, name: str, words: str) -> None:
    change(file, before, after)
    found = {one.name: str(one) for one in wrong(file)}
    assert words in found[name]


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    change(file, "http://10.0.0.1:8783", "compute")
    change(file, "amqp:", "kafka:")
    change(file, "127.0.0.1:8784", "anywhere")
    with pytest.raises(Invalid) as refused:
        checked(Service.NETWORK, file)
    assert all(name in refused.value.message for name in ("endpoints.compute", "bus.url", "network.listen"))
    assert "identity" not in refused.value.message.partition(": ")[2]  # nobody has asked for it


def test_a_service_without_its_table_is_refused(file: Path) -> None:
    with pytest.raises(Invalid, match=r"image: there is no such table; add \[image\]"):
        checked(Service.IMAGE, file)


def test_a_password_is_read_from_a_file_that_nobody_else_may_read(file: Path) -> None:
    place = file.with_name("nova.password")
    settings = PasswordSettings(password_file=place)
    assert password_of(settings) == SECRET
    place.chmod(0o644)
    with pytest.raises(Invalid, match="chmod o="):
        password_of(settings)
    assert [one.name for one in wrong(file)] == ["users.admin", "users.nova", "users.neutron", "users.glance"]
    place.chmod(0o640)
    place.write_text("\n")
    with pytest.raises(Invalid, match="holds no password"):
        password_of(settings)
    place.unlink()
    with pytest.raises(Invalid, match="No such file"):
        password_of(settings)


def test_a_password_may_come_from_the_environment() -> None:
    settings = PasswordSettings(password_env="NOVA")
    assert password_of(settings, {"NOVA": SECRET}) == SECRET
    with pytest.raises(Invalid, match="the environment has no NOVA"):
        password_of(settings, {})
    with pytest.raises(Invalid, match="take one away"):
        password_of(PasswordSettings(password_env="NOVA", password_file=Path("/x")), {"NOVA": SECRET})


def test_a_password_is_put_into_a_url_whatever_its_signs() -> None:
    assert with_password("amqp://moorage@host:1/v", "a:b/c@d") == "amqp://moorage:a%3Ab%2Fc%40d@host:1/v"
    assert with_password("amqp://moorage@host/v", None) == "amqp://moorage@host/v"


def test_what_holds_is_shown_with_its_source_and_without_secrets(file: Path) -> None:
    change(file, f"sqlite:{file.parent}/database", "postgresql://moorage:in-the-url@127.0.0.1/")
    found = {one.name: (one.value, one.source) for one in shown(read_file(file))}
    assert found["network.listen"] == ("127.0.0.1:8784", "file")
    assert found["network.grace"] == (10.0, "default")
    assert found["users.nova.password"] == ("(hidden)", str(file.with_name("nova.password")))
    assert found["bus.url"] == ("amqp://moorage:(hidden)@127.0.0.1/%2F", "file")
    assert found["database.url"] == ("postgresql://moorage:(hidden)@127.0.0.1/", "file")
    assert not any(name.startswith("image") for name in found)


def test_the_command_checks_and_shows(file: Path) -> None:
    ran = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (ran.exit_code, "fine for identity, network" in ran.stdout) == (0, True)
    ran = CliRunner().invoke(app, ["config", "show", str(file), "--json", "-"])
    names = [one["name"] for one in json.loads(ran.stdout)["settings"]]
    assert {"endpoints.network", "identity.listen", "log_format"} <= set(names)
    assert SECRET not in ran.stdout + ran.stderr
    change(file, "amqp:", "kafka:")
    ran = CliRunner().invoke(app, ["config", "check", str(file), "--json", "-"])
    assert ran.exit_code == 1
    assert [one["name"] for one in json.loads(ran.stdout)["wrong"]] == ["bus.url"]
