"""What a process has to do with others: its way to the other services, and as whom."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from moorage.adapters.http.session import PasswordTokens, Session
from moorage.adapters.http.transport import OverHttp
from moorage.app.serving.secrets import password_of
from moorage.app.serving.settings import EndpointsSettings, ServeSettings
from moorage.domain.errors import Invalid
from moorage.seams.clock import Clock

PROJECT = "service"


@dataclass(frozen=True)
class Calling:
    """Fulfils part.Sessions, over HTTP, with the password of the one user that this process is."""

    transport: OverHttp
    tokens: PasswordTokens
    bases: Mapping[str, str]

    def __call__(self, service: str, user: str) -> Session:
        assert user == self.tokens.user, "a process is one user"
        return Session(self.transport, f"{self.bases[service.partition('/')[0]]}/{service}", self.tokens)


@asynccontextmanager
async def calling(settings: ServeSettings, user: str, clock: Clock) -> AsyncIterator[Calling]:
    """Raises Invalid when the user's password is nowhere."""
    password = password_of(getattr(settings.users, user))
    if password is None:
        raise Invalid(f"users.{user} has no password: name its file in password_file")
    bases = bases_of(settings.endpoints)
    transport = OverHttp(client_context(settings))
    try:
        identity = f"{bases['identity']}/identity"
        yield Calling(transport, PasswordTokens(transport, identity, user, password, PROJECT, clock), bases)
    finally:
        await transport.close()


def bases_of(endpoints: EndpointsSettings) -> Mapping[str, str]:
    """What the services are below, by name."""
    return {
        "identity": endpoints.identity.rstrip("/"),
        "image": endpoints.image.rstrip("/"),
        "compute": endpoints.compute.rstrip("/"),
        "network": endpoints.network.rstrip("/"),
    }


def client_context(settings: ServeSettings) -> ssl.SSLContext | None:
    """Whom we trust when calling; None: the system's authorities. Raises Invalid."""
    ca_file = settings.tls.ca_file
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"tls.ca_file {ca_file} cannot be used: {error}") from error
