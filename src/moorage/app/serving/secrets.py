"""Secrets that settings refer to: read when they are needed, shown nowhere."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from moorage.app.serving.settings import PasswordSettings
from moorage.domain.errors import Invalid

LONGEST = 4096  # characters of a password


def password_of(settings: PasswordSettings | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The password that is referred to; None when none is. Raises Invalid, with what to do."""
    if settings is None:
        return None
    if settings.password_file is not None and settings.password_env is not None:
        raise Invalid("password_file and password_env both say where the password is: take one away")
    if settings.password_file is not None:
        return _in_file(settings.password_file)
    if settings.password_env is not None:
        found = environ.get(settings.password_env, "")
        if not found:
            raise Invalid(f"the environment has no {settings.password_env}: set it, or name a password_file")
        return found
    return None


def source_of(settings: PasswordSettings) -> str:
    """Where the password is read from, for people."""
    return str(settings.password_file) if settings.password_file is not None else f"${settings.password_env}"


def with_password(url: str, password: str | None) -> str:
    """`url` with a password in it, if there is one."""
    if password is None:
        return url
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}"))


def _in_file(path: Path) -> str:
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno()).st_mode
            said = file.read(LONGEST + 2)
    except OSError as error:
        raise Invalid(
            f"{path} cannot be read ({error.strerror}): write the password there, for its user alone"
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is no text: write a password of one line there") from error
    if mode & stat.S_IRWXO:
        raise Invalid(f"anybody may read {path}: chmod o= {path}")
    found = said.rstrip("\r\n")
    if not found or len(found) > LONGEST or "\n" in found:
        raise Invalid(f"{path} holds no password: write one there, of one line")
    return found
