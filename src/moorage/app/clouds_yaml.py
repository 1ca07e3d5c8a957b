"""clouds.yaml, by which OpenStack's clients (and ours) find a cloud and log in."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moorage.app.cloud import Credentials
from moorage.domain.errors import Invalid, NotFound, Unavailable

MEMBER = "moorage"
ADMIN = "moorage-admin"


@dataclass(frozen=True)
class Account:
    """Who logs in where."""

    auth_url: str
    user: str
    password: str
    project: str
    user_domain: str = "default"  # an id
    project_domain: str = "default"  # an id


def account_of(url: str, credentials: Credentials) -> Account:
    return Account(f"{url}/identity/v3", credentials.user, credentials.password, credentials.project)


def rendered(url: str, credentials: Mapping[str, Credentials]) -> str:
    """The file for a cloud at `url`."""
    lines = ["# Written by `moorage up` each time it starts.", "clouds:"]
    for name, entry in credentials.items():
        lines += [
            f"  {name}:",
            "    auth:",
            f"      auth_url: {json.dumps(url + '/identity/v3')}",  # a JSON string is a YAML string
            f"      username: {json.dumps(entry.user)}",
            f"      password: {json.dumps(entry.password)}",
            f"      project_name: {json.dumps(entry.project)}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            "    region_name: RegionOne",
            '    identity_api_version: "3"',
        ]
    return "\n".join(lines) + "\n"


def openrc(account: Account) -> str:
    """The same as shell variables, for clients that know no clouds.yaml."""
    variables = {
        "OS_AUTH_URL": account.auth_url,
        "OS_USERNAME": account.user,
        "OS_PASSWORD": account.password,
        "OS_PROJECT_NAME": account.project,
        "OS_USER_DOMAIN_ID": account.user_domain,
        "OS_PROJECT_DOMAIN_ID": account.project_domain,
        "OS_REGION_NAME": "RegionOne",
        "OS_IDENTITY_API_VERSION": "3",
    }
    return "".join(f"export {name}={quoted(value)}\n" for name, value in variables.items())


def quoted(text: str) -> str:
    """`text` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def find_account(
    name: str | None, state_yaml: Path, environ: Mapping[str, str] = os.environ, *, is_first: bool = False
) -> Account:
    """The account to use: --os-cloud, else OS_CLOUD, else OS_AUTH_URL's, else the state directory's own.

    `is_first`: the state directory's file goes before all others. Raises NotFound when no clouds.yaml has that name,
    Invalid when its entry cannot be used.
    """
    name = name or environ.get("OS_CLOUD")
    if not name and "OS_AUTH_URL" in environ and not is_first:
        return _from_environment(environ)
    return find_entry(name, state_yaml, environ, is_first=is_first)[2]


def find_entry(
    name: str | None, state_yaml: Path, environ: Mapping[str, str] = os.environ, *, is_first: bool = True
) -> tuple[Path, str, Account]:
    """The account of --os-cloud, else OS_CLOUD, else the state directory's own; with its file and name. Raises too."""
    name = name or environ.get("OS_CLOUD")
    if not name:
        return state_yaml, MEMBER, account_in(state_yaml, MEMBER)
    files = _files(environ, state_yaml)
    if is_first:
        files = [state_yaml, *files[:-1]]
    for file in files:
        try:
            return file.absolute(), name, account_in(file, name)
        except NotFound:
            continue
    raise NotFound(
        f"no clouds.yaml has '{name}' (looked in {', '.join(map(str, dict.fromkeys(files)))}); "
        f"`--os-cloud {MEMBER}` takes the state directory's"
    )


def account_in(file: Path, name: str) -> Account:
    """The account `name` of one file. Raises NotFound when it is not there, Invalid when it cannot be used."""
    try:
        entry = read_entry(file.read_text(), name)
    except FileNotFoundError as error:
        raise NotFound(f"no cloud was ever started here ({file} is missing): `moorage up` starts one") from error
    except OSError as error:
        raise Unavailable(f"reading {file}: {error.strerror}") from error
    if entry is None:
        raise NotFound(f"{file} has no cloud '{name}'")
    return _account(entry, f"'{name}' in {file}")


def _files(environ: Mapping[str, str], state_yaml: Path) -> list[Path]:
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config")
    named = environ.get("OS_CLIENT_CONFIG_FILE")
    theirs = [Path("clouds.yaml"), home / "openstack" / "clouds.yaml", Path("/etc/openstack/clouds.yaml")]
    return [*([Path(named)] if named else []), *theirs, state_yaml]


def _from_environment(environ: Mapping[str, str]) -> Account:
    entry = {key.removeprefix("OS_").lower(): value for key, value in environ.items() if key.startswith("OS_")}
    return _account(entry, "the OS_… variables")


def _account(entry: Mapping[str, str], where: str) -> Account:
    missing = [key for key in ("auth_url", "username", "password", "project_name") if not entry.get(key)]
    if missing:
        raise Invalid(f"{where}: {', '.join(missing)} missing")
    return Account(
        auth_url=entry["auth_url"].rstrip("/"),
        user=entry["username"],
        password=entry["password"],
        project=entry["project_name"],
        user_domain=entry.get("user_domain_id", "default"),
        project_domain=entry.get("project_domain_id", "default"),
    )


def read_entry(text: str, name: str) -> dict[str, str] | None:
    """The plain values of one cloud, those under `auth:` among them; None when the file has no such cloud.

    Understands nested keys with plain or quoted values, which is what clouds.yaml files are made of, and passes over
    the rest.
    """
    path: list[tuple[int, str]] = []
    found: dict[str, str] | None = None
    for line in text.splitlines():
        stripped = line.strip()
        key, separator, value = stripped.partition(":")
        if not separator or stripped.startswith(("#", "-")):
            continue
        indent = len(line) - len(line.lstrip())
        path = [(depth, part) for depth, part in path if depth < indent] + [(indent, _scalar(key))]
        names = [part for _, part in path]
        if names[:2] == ["clouds", name]:
            found = {} if found is None else found
            if len(names) == 3 or (len(names) == 4 and names[2] == "auth"):
                found[names[-1]] = _scalar(value)
    return found


def _scalar(text: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        try:
            return str(json.loads(text[: text.rindex('"') + 1]))
        except ValueError:
            return text
    if text.startswith("'"):
        return text[1 : text.rindex("'")].replace("''", "'") if text.count("'") > 1 else text
    return text.split(" #", 1)[0].rstrip()
