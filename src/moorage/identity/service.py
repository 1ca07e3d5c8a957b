"""Tokens given, looked at and taken back; what is known about users and what they are for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe

from moorage.domain.errors import NotFound
from moorage.domain.identity import Domain, GroupGrant, Project, Revocation, Role, ScopeKind, User, about_token
from moorage.identity.requests import Auth, DomainRef, ProjectRef, ScopePart, UserRef
from moorage.identity.revocations import Revocations
from moorage.identity.scoping import Target, issued, refusal, roles_in
from moorage.identity.tokens import Named, Signer, Token
from moorage.identity.verifier import Verifier
from moorage.seams.clock import Clock
from moorage.seams.identity_store import AnyGrant, IdentityStore
from moorage.seams.passwords import Passwords

FORGIVEN = timedelta(days=2)  # how long after its end a token may still be looked at with allow_expired


@dataclass(frozen=True)
class IdentityService:
    store: IdentityStore
    passwords: Passwords
    signer: Signer
    revocations: Revocations
    verifier: Verifier
    clock: Clock
    token_life: timedelta = timedelta(hours=1)

    async def authenticate(self, auth: Auth) -> tuple[str, Token]:
        """A token as asked. Raises Unauthorized, with the same words whatever is wrong."""
        parent: Token | None = None
        user: User | None = None
        if "token" in auth.identity.methods and auth.identity.token is not None:
            try:
                parent = self.verifier.read(auth.identity.token.id)
                user = await self.store.get(User, parent.user.id)
            except NotFound:
                raise refusal() from None
        if "password" in auth.identity.methods and auth.identity.password is not None:
            try:
                known = await self._known(auth.identity.password.user)
            except NotFound:  # deleted meanwhile
                known = None
            if parent is not None and (user is None or known is None or user.id != known.id):
                raise refusal()
            user = known
        if user is None or not set(auth.identity.methods) <= {"password", "token"}:
            raise refusal()
        try:
            target = await self._target(auth.scope, user)
        except NotFound:
            raise refusal() from None
        return await self._issue(user, auth.identity.methods, target, parent)

    async def issue_for(self, user_name: str, project_name: str, *, domain_id: str = "default") -> str:
        """A token for a user on a project, without a password: for our own services at start-up.

        Raises Unauthorized when there is no such user, project or grant.
        """
        users = await self.store.find(User, {"name": user_name, "domain_id": domain_id})
        projects = await self.store.find(Project, {"name": project_name, "domain_id": domain_id})
        if not (users and projects):
            raise refusal()
        target = Target(project=projects[0], domain=await self.store.get(Domain, domain_id))
        text, _ = await self._issue(users[0], ["password"], target, None)
        return text

    def look_at(self, text: str, *, allow_expired: bool = False) -> Token:
        """What a token says. Raises NotFound for one that does not count."""
        return self.verifier.read(text, at=self.clock.now() - FORGIVEN if allow_expired else None)

    async def take_back(self, text: str) -> None:
        """Make a token count no more. Raises NotFound for one that does not count anyway."""
        token = self.look_at(text)
        await self.revoke([Revocation(about_token(token.audit_ids[0]), token.issued_at, token.expires_at)])

    async def revoke(self, revoking: Sequence[Revocation]) -> None:
        """Record revocations; they count here at once."""
        await self.store.revoke(revoking)
        self.revocations.add(revoking)

    def revoking(self, *subjects: str) -> list[Revocation]:
        """Revocations of all tokens about these that exist by now."""
        now = self.clock.now()
        return [Revocation(subject, now, now + self.token_life + FORGIVEN) for subject in subjects]

    async def projects_of(self, user_id: str) -> Sequence[Project]:
        """The projects that a user has a role on and that are switched on."""
        grants = await self.store.effective(user_id)
        wanted = {grant.scope.id for grant in grants if grant.scope.kind is ScopeKind.PROJECT}
        return [project for project in await self.store.find(Project, {"is_enabled": True}) if project.id in wanted]

    async def domains_of(self, user_id: str) -> Sequence[Domain]:
        """The domains that a user has a role on and that are switched on."""
        grants = await self.store.effective(user_id)
        wanted = {grant.scope.id for grant in grants if grant.scope.kind is ScopeKind.DOMAIN}
        return [domain for domain in await self.store.find(Domain, {"is_enabled": True}) if domain.id in wanted]

    async def is_on_system(self, user_id: str) -> bool:
        return bool(await self.store.effective(user_id, Target().scope))

    async def _issue(
        self, user: User, methods: Sequence[str], target: Target | None, parent: Token | None
    ) -> tuple[str, Token]:
        held = await self.store.effective(user.id, target.scope) if target is not None else ()
        token = issued(
            user=user,
            user_domain=await self.store.get(Domain, user.domain_id),
            methods=methods,
            target=target,
            roles=await self._roles(held) if held else (),
            groups=tuple(sorted({grant.group_id for grant in held if isinstance(grant, GroupGrant)})),
            audit_id=token_urlsafe(16),
            now=self.clock.now(),
            life=self.token_life,
            parent=parent,
        )
        return self.signer.sign(token), token

    async def _roles(self, held: Sequence[AnyGrant]) -> tuple[Named, ...]:
        return roles_in((grant.role_id for grant in held), await self.store.find(Role))

    async def _known(self, given: UserRef) -> User | None:
        """The user whose name and password these are. An unknown name takes as long as a wrong password."""
        user = await self._named(given)
        if not await self.passwords.matches(given.password, user.password_hash if user is not None else None):
            return None
        assert user is not None, "no hash, no match"
        now = await self.store.get(User, user.id)  # it may have changed while we reckoned
        return now if now.password_hash == user.password_hash else None

    async def _named(self, given: UserRef) -> User | None:
        try:
            if given.id is not None:
                return await self.store.get(User, given.id)
            domain = await self._domain(given.domain)
            found = await self.store.find(User, {"name": given.name, "domain_id": domain.id})
        except NotFound:
            return None
        return found[0] if found else None

    async def _target(self, scope: ScopePart | str | None, user: User) -> Target | None:
        """What the token shall be for. Raises NotFound when that does not exist."""
        if scope is None:
            return await self._default_target(user)
        if isinstance(scope, str):
            return None
        if scope.project is not None:
            project = await self._project(scope.project)
            return Target(project=project, domain=await self.store.get(Domain, project.domain_id))
        if scope.domain is not None:
            return Target(domain=await self._domain(scope.domain))
        return Target()

    async def _default_target(self, user: User) -> Target | None:
        """The user's default project, when it can be used."""
        if user.default_project_id is None:
            return None
        try:
            project = await self.store.get(Project, user.default_project_id)
        except NotFound:
            return None
        target = Target(project=project, domain=await self.store.get(Domain, project.domain_id))
        return target if target.is_enabled and await self.store.effective(user.id, target.scope) else None

    async def _project(self, given: ProjectRef) -> Project:
        if given.id is not None:
            return await self.store.get(Project, given.id)
        domain = await self._domain(given.domain)
        found = await self.store.find(Project, {"name": given.name, "domain_id": domain.id})
        if not found:
            raise NotFound(f"Could not find project: {given.name}.")
        return found[0]

    async def _domain(self, given: DomainRef | None) -> Domain:
        if given is not None and given.id is not None:
            return await self.store.get(Domain, given.id)
        found = await self.store.find(Domain, {"name": given.name if given is not None else None})
        if not found:
            raise NotFound("Could not find domain.")
        return found[0]
