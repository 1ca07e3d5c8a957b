"""Identity put together: the only one with the key that signs tokens."""

from collections.abc import Mapping
from functools import partial

from moorage.adapters.database.engine import Database
from moorage.adapters.database.identity import DatabaseIdentityStore
from moorage.app.serving.part import Part
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
    store = DatabaseIdentityStore(database)
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
