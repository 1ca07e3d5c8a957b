"""Identity put together: the only one with the key that signs tokens."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from moorage.adapters.argon2.passwords import ArgonPasswords
from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.adapters.files.private_key import load_or_make_private_key
from moorage.app.deadlines import STORE, limited
from moorage.app.serving.apis import database
from moorage.app.serving.outside import bases_of
from moorage.app.serving.part import Part
from moorage.app.serving.process import Process, serving
from moorage.app.serving.secrets import password_of
from moorage.app.serving.settings import ServeSettings
from moorage.identity.bootstrap import bootstrap
from moorage.identity.catalog import Places
from moorage.identity.http.door import make_app
from moorage.identity.revocations import Revocations
from moorage.identity.service import IdentityService
from moorage.identity.tokens import Signer
from moorage.identity.verifier import Verifier
from moorage.seams.clock import Clock
from moorage.seams.passwords import Passwords

FOLLOW_EVERY = 0.5  # seconds; those who ask us do so each second, and by then all know


def make_identity(
    database: Database,
    clock: Clock,
    passwords: Passwords,
    *,
    private_key: bytes,  # PEM, Ed25519
    user_passwords: Mapping[str, str],  # of those whom a new cloud begins with
    places: Places,
) -> Part[IdentityService]:
    store = limited("the identity store", DatabaseIdentityStore(database), seconds=STORE)
    signer = Signer(private_key)
    revocations = Revocations(store.revocations, clock, every=FOLLOW_EVERY)
    service = IdentityService(
        store=store,
        passwords=passwords,
        signer=signer,
        revocations=revocations,
        verifier=Verifier(signer, revocations, clock),
        clock=clock,
    )
    return Part(
        "identity",
        service,
        make_app(service, places=places),
        runners=[("revocations", revocations.follow)],
        begin=partial(bootstrap, service, user_passwords),
    )


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    api = settings.identity
    assert api is not None
    users = {name: password_of(getattr(settings.users, name)) for name in settings.users.__struct_fields__}
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        identity = make_identity(
            await database(process, "identity", api),
            process.clock,
            ArgonPasswords(),
            private_key=load_or_make_private_key(api.token_key_file),
            user_passwords={name: password for name, password in users.items() if password is not None},
            places=bases_of(settings.public_endpoints or settings.endpoints),
        )
        await stack.enter_async_context(serving(process, [identity], api))
        yield
