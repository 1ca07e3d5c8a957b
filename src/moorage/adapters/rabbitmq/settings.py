"""Where the broker is, and as whom we speak to it."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from moorage.domain.errors import Invalid
from moorage.domain.ids import HostName

_FILES = ("ca_file", "cert_file", "key_file")
HOST_USER = "host."  # a user of this name and the host's is that host's


@dataclass(frozen=True)
class RabbitSettings:
    """`url`: amqp(s)://USER:PASSWORD@ADDRESS[:PORT]/VHOST, where the vhost `/` is written %2F.

    With amqps the broker's certificate must be good for ADDRESS and signed by `ca` (None: by one that the machine
    trusts). `certificate` and `key` are ours, where the broker asks for one. All three are PEM files.
    """

    url: str = field(repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __str__(self) -> str:
        """Where, without the password."""
        return str(URL(self.url).with_password(None).with_query(None))

    @property
    def user(self) -> str:
        return URL(self.url).user or "guest"

    def ssl_context(self) -> ssl.SSLContext | None:
        """None without TLS. Raises Invalid when a file cannot be read."""
        if URL(self.url).scheme != "amqps":
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # ssl.SSLError is one; none says which file
            named = ", ".join(str(file) for file in (self.ca, self.certificate, self.key) if file is not None)
            raise Invalid(f"the bus's certificates cannot be read, one of {named}: {error}") from error
        return context


def settings_of(text: str) -> RabbitSettings:
    """The settings in one line: the URL, with `ca_file`, `cert_file` and `key_file` as its query. Raises Invalid."""
    try:
        url = URL(text)
    except ValueError as error:
        raise Invalid(f"it is no URL: {error}") from error
    files = {name: Path(file) if (file := url.query.get(name)) else None for name in _FILES}
    if url.scheme not in ("amqp", "amqps") or not url.host or url.query.keys() - files.keys():
        raise Invalid("a bus is amqp://USER:PASSWORD@ADDRESS/VHOST, or amqps:// with ?ca_file=…&cert_file=…&key_file=…")
    files = {
        name: Path(found) if (found := url.query.get(name)) else None for name in ("ca_file", "cert_file", "key_file")
    }
    return RabbitSettings(
        str(url.with_query(None)), ca=files["ca_file"], certificate=files["cert_file"], key=files["key_file"]
    )


def host_of(user: str) -> HostName | None:
    """The host whose user this is; None for a service's."""
    return HostName(user.removeprefix(HOST_USER)) if user.startswith(HOST_USER) else None
