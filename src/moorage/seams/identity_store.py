"""Where identity keeps its domains, projects, users, groups, roles, grants and revocations."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from moorage.domain.identity import Domain, Grant, Group, GroupGrant, Project, Revocation, Role, Scope, User

Thing = TypeVar("Thing", Domain, Project, User, Group, Role)
AnyGrant = Grant | GroupGrant


class IdentityStore(Protocol):
    """Each call is one transaction; its `revoking` are recorded with the change or not at all.

    Raises NotFound for what is absent, Conflict for a name or id that is taken, Unavailable.
    """

    async def find(self, kind: type[Thing], where: Mapping[str, str | bool | None] | None = None) -> Sequence[Thing]:
        """All things of the kind, by name, whose fields equal those in `where` (names of fields of the kind)."""

    async def get(self, kind: type[Thing], id: str) -> Thing: ...

    async def add(self, thing: Domain | Project | User | Group | Role) -> None: ...

    async def update(
        self, kind: type[Thing], id: str, change: Callable[[Thing], Thing], revoking: Sequence[Revocation] = ()
    ) -> Thing:
        """What `change` makes of the thing as it is now. It may raise, then nothing is changed; and be called again."""

    async def delete(self, kind: type[Thing], id: str, revoking: Sequence[Revocation] = ()) -> None:
        """Delete it with every grant that names it, and what is in it (a domain's projects, users and groups)."""

    async def grants(
        self, *, user: str | None = None, scope: Scope | None = None, role: str | None = None
    ) -> Sequence[Grant]: ...

    async def group_grants(
        self, *, group: str | None = None, scope: Scope | None = None, role: str | None = None
    ) -> Sequence[GroupGrant]: ...

    async def effective(self, user: str, scope: Scope | None = None) -> Sequence[AnyGrant]:
        """All that gives the user a role (there): what was granted to them, and to the groups they are in."""

    async def members(self, group: str) -> Sequence[User]:
        """By name. Raises NotFound when there is no such group."""

    async def groups_of(self, user: str) -> Sequence[Group]:
        """By name. Raises NotFound when there is no such user."""

    async def join(self, group: str, user: str) -> None:
        """Repeatable. Raises NotFound when one of both is not there."""

    async def leave(self, group: str, user: str, revoking: Sequence[Revocation] = ()) -> None:
        """Raises NotFound when the user is not in the group."""

    async def grant(self, grant: AnyGrant) -> None:
        """Repeatable. Raises NotFound when the user or group, the role or the target is not there."""

    async def withdraw(self, grant: AnyGrant, revoking: Sequence[Revocation] = ()) -> None:
        """Raises NotFound when it was never granted."""

    async def revoke(self, revoking: Sequence[Revocation]) -> None:
        """Repeatable; of two about one subject the later counts."""

    async def revocations(self, now: datetime) -> Sequence[Revocation]:
        """Those that still matter; the others are forgotten."""
