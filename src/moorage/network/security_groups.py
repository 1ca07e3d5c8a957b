"""What users do with security groups and their rules."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network

from moorage.domain.caller import Caller
from moorage.domain.errors import Conflict, Forbidden, NotFound
from moorage.domain.ids import ProjectId
from moorage.domain.security_group import DEFAULT, SecurityGroup, SecurityGroupRule, check_rule, check_stateful
from moorage.network.access import owner_of_new, require_owner, seen_by
from moorage.network.group_news import GroupNews
from moorage.seams.clock import Clock
from moorage.seams.network_store import NetworkStore
from moorage.wire.network import GroupEdit, GroupNew, RuleNew, given, project_given


@dataclass(frozen=True)
class SecurityGroups:
    store: NetworkStore
    news: GroupNews
    clock: Clock
    new_id: Callable[[], str]

    async def default(self, project: ProjectId) -> SecurityGroup:
        """The project's own `default`, made when it is first asked for."""
        found = await self.store.default_group(project)
        if found is not None:
            return found
        group = self._new(project, DEFAULT, "Default security group")
        members = [self._rule(group, "ingress", ethertype, remote_group_id=group.id) for ethertype in ("IPv4", "IPv6")]
        try:
            return await self.store.create_group(replace(group, rules=(*group.rules, *members)))
        except Conflict:  # made side by side
            found = await self.store.default_group(project)
            assert found is not None, f"project {project} has a default group and has none"
            return found

    async def all(
        self, caller: Caller, ids: Collection[str] | None = None, *, projects: Collection[str] = ()
    ) -> Sequence[SecurityGroup]:
        """The groups the caller sees; its project has a `default` from now on, or those that a service asks for."""
        for project in projects if caller.is_service and projects else [caller.project]:
            if project is not None:
                await self.default(ProjectId(project))
        return await self.store.groups(seen_by(caller), ids=ids)

    async def show(self, caller: Caller, group: str) -> SecurityGroup:
        found = await self.all(caller, [group])
        if not found:
            raise NotFound(f"Security group {group} does not exist", kind="SecurityGroupNotFound")
        return found[0]

    async def create(self, caller: Caller, bodies: Sequence[GroupNew]) -> Sequence[SecurityGroup]:
        made = []
        for body in bodies:
            check_stateful(body.stateful is not False)
        for body in bodies:
            project = owner_of_new(caller, project_given(body))
            await self.default(project)
            fields = given(body)
            group = self._new(project, fields.get("name", ""), fields.get("description", ""))
            made.append(await self.store.create_group(group))
        return made

    async def update(self, caller: Caller, group: str, body: GroupEdit, if_revision: int | None) -> SecurityGroup:
        found = await self.show(caller, group)
        require_owner(caller, found.project_id, f"update_security_group {group}")
        fields = given(body)
        check_stateful(fields.pop("stateful", True))
        if "name" in fields and fields["name"] != found.name and DEFAULT in (found.name, fields["name"]):
            raise Conflict(
                "Updating the name of the default security group, or to it, is not allowed.",
                kind="SecurityGroupCannotUpdateDefault",
            )
        return await self.store.update_group(
            found.id, lambda before: replace(before, **fields), if_revision=if_revision
        )

    async def delete(self, caller: Caller, group: str, if_revision: int | None) -> None:
        found = await self.show(caller, group)
        require_owner(caller, found.project_id, f"delete_security_group {group}")
        if found.name == DEFAULT and not caller.is_admin:
            raise Conflict("Removing default security group not allowed.", kind="SecurityGroupCannotRemoveDefault")
        hosts = await self.news.hosts({found.id})  # whose ports' groups name it as remote, while they do
        await self.store.delete_group(found.id, if_revision=if_revision)
        await self.news.tell({found.id}, to=hosts)

    # ---- rules

    async def rules(self, caller: Caller) -> Sequence[SecurityGroupRule]:
        return [rule for group in await self.all(caller) for rule in group.rules]

    async def show_rule(self, caller: Caller, rule: str) -> SecurityGroupRule:
        for found in await self.rules(caller):
            if found.id == rule:
                return found
        raise NotFound(f"Security group rule {rule} does not exist", kind="SecurityGroupRuleNotFound")

    async def create_rules(self, caller: Caller, bodies: Sequence[RuleNew]) -> Sequence[SecurityGroupRule]:
        rules = [await self._checked(caller, body) for body in bodies]
        await self.store.create_rules(rules)
        await self.news.tell({rule.group_id for rule in rules})
        return rules

    async def delete_rule(self, caller: Caller, rule: str) -> None:
        found = await self.show_rule(caller, rule)
        require_owner(caller, found.project_id, f"delete_security_group_rule {rule}")
        await self.store.delete_rule(found.id)
        await self.news.tell({found.group_id})

    async def _checked(self, caller: Caller, body: RuleNew) -> SecurityGroupRule:
        group = await self.show(caller, body.security_group_id)
        if body.remote_group_id is not None:
            await self.show(caller, body.remote_group_id)
        named = project_given(body)
        if named is not None and named != group.project_id and not caller.is_service:
            raise Forbidden("The rule's project is not its group's.", kind="PolicyNotAuthorized")
        rule = SecurityGroupRule(
            id=self.new_id(),
            group_id=group.id,
            project_id=group.project_id,
            direction=body.direction,
            ethertype=body.ethertype or "IPv4",
            created_at=self.clock.now(),
            protocol=None if body.protocol is None else str(body.protocol),
            port_range_min=body.port_range_min,
            port_range_max=body.port_range_max,
            remote_ip_prefix=body.remote_ip_prefix,
            remote_group_id=body.remote_group_id,
            description=body.description,
        )
        check_rule(rule)
        if rule.remote_ip_prefix is None:
            return rule
        return replace(rule, remote_ip_prefix=str(ip_network(rule.remote_ip_prefix, strict=False)))

    def _new(self, project: ProjectId, name: str, description: str) -> SecurityGroup:
        now: datetime = self.clock.now()
        group = SecurityGroup(
            id=self.new_id(), project_id=project, name=name, created_at=now, updated_at=now, description=description
        )
        rules = [self._rule(group, "egress", ethertype) for ethertype in ("IPv4", "IPv6")]
        return replace(group, rules=tuple(rules))

    def _rule(
        self, group: SecurityGroup, direction: str, ethertype: str, *, remote_group_id: str | None = None
    ) -> SecurityGroupRule:
        return SecurityGroupRule(
            id=self.new_id(),
            group_id=group.id,
            project_id=group.project_id,
            direction=direction,
            ethertype=ethertype,
            created_at=group.created_at,
            remote_group_id=remote_group_id,
        )
