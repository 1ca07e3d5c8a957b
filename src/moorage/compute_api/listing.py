"""GET /servers: which servers a query means, and in which order."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moorage.compute_api.view import shown_nics
from moorage.compute_api.wanted import is_true, number
from moorage.domain.errors import Forbidden, Invalid
from moorage.domain.server import Server, status

MOST = 1000  # servers on a page
MOST_ALTERNATIVES = 8
LONGEST_PATTERN = 255  # characters

Query = Mapping[str, Sequence[str]]
Test = Callable[[Server], bool]

STATUSES = frozenset(
    [
        "ACTIVE",
        "BUILD",
        "DELETED",
        "ERROR",
        "HARD_REBOOT",
        "MIGRATING",
        "PASSWORD",
        "PAUSED",
        "REBOOT",
        "REBUILD",
        "RESCUE",
        "RESIZE",
        "REVERT_RESIZE",
        "SHELVED",
        "SHELVED_OFFLOADED",
        "SHUTOFF",
        "SOFT_DELETED",
        "SUSPENDED",
        "UNKNOWN",
        "VERIFY_RESIZE",
    ]
)
SORT_KEYS: Mapping[str, Callable[[Server], Any]] = {
    "created_at": lambda server: server.created,
    "updated_at": lambda server: server.updated,
    "launched_at": lambda server: server.launched_at or datetime.min.replace(tzinfo=UTC),
    "display_name": lambda server: server.name,
    "uuid": lambda server: server.id,
    "vm_state": lambda server: server.life.vm.value,
    "task_state": lambda server: str(server.life.task or ""),
    "power_state": lambda server: int(server.life.power),
    "key_name": lambda server: server.key_name or "",
    "image_ref": lambda server: server.image or "",
    "instance_type_id": lambda server: server.flavor.id,
    "launch_index": lambda server: server.launch_index,
    "locked": lambda server: server.is_locked,
    "project_id": lambda server: server.project,
    "user_id": lambda server: server.user,
    "host": lambda server: server.host or "",
    "node": lambda server: server.host or "",
    "availability_zone": lambda server: server.availability_zone,
    "config_drive": lambda server: server.config_drive,
    "display_description": lambda server: server.description or "",
    "access_ip_v4": lambda server: server.access_ip_v4,
    "access_ip_v6": lambda server: server.access_ip_v6,
    "root_device_name": lambda _: "",
}
FOR_ADMINS = frozenset({"host", "node"})

# a query key -> the server's own value, compared as it is
PLAIN: Mapping[str, Callable[[Server], str]] = {
    "uuid": lambda server: server.id,
    "hostname": lambda server: server.hostname,
    "reservation_id": lambda server: server.reservation_id,
    "vm_state": lambda server: server.life.vm.value,
    "task_state": lambda server: str(server.life.task or ""),
    "key_name": lambda server: server.key_name or "",
    "availability_zone": lambda server: server.availability_zone,
    "user_id": lambda server: server.user,
    "launch_index": lambda server: str(server.launch_index),
    "power_state": lambda server: str(int(server.life.power)),
    "image": lambda server: server.image or "",
    "flavor": lambda server: server.flavor.id,
    "description": lambda server: server.description or "",
    "access_ip_v4": lambda server: server.access_ip_v4,
    "access_ip_v6": lambda server: server.access_ip_v6,
    "config_drive": lambda server: server.config_drive,
}
PLAIN_FOR_ADMINS: Mapping[str, Callable[[Server], str]] = {
    "host": lambda server: server.host or "",
    "node": lambda server: server.host or "",
}
MOST_MINOR = 999
# which of them members may use, and from which minor version on; what they may not is ignored
MEMBERS_SINCE: Mapping[str, int] = {
    **dict.fromkeys(("reservation_id", "image", "flavor"), 1),
    **dict.fromkeys(("availability_zone", "config_drive", "key_name", "user_id"), 83),
    **dict.fromkeys(("power_state", "task_state", "vm_state"), 83),
    "hostname": 90,
}
OTHERS = frozenset(
    [
        "name",
        "status",
        "ip",
        "ip6",
        "changes-since",
        "changes-before",
        "all_tenants",
        "project_id",
        "tenant_id",
        "deleted",
        "limit",
        "marker",
        "sort_key",
        "sort_dir",
        "tags",
        "tags-any",
        "not-tags",
        "not-tags-any",
        "locked",
        "metadata",
        "image_ref",
        "flavor_id",
        "hostname",
        "soft_deleted",
        "created_at",
        "updated_at",
        "launched_at",
        "terminated_at",
        "cell_name",
        "root_device_name",
        "progress",
        "ramdisk_id",
        "kernel_id",
        "disk_config",
        "auto_disk_config",
        "display_name",
        "display_description",
        "instance_type_id",
        "locked_by",
    ]
)


@dataclass(frozen=True)
class Wanted:
    """A query, read: `project` None means all; `tests` is empty when the store can do it all."""

    is_all_tenants: bool
    project: str | None
    is_deleted: bool
    changed_since: datetime | None
    tests: tuple[Test, ...]
    sorts: tuple[tuple[str, bool], ...]  # key, whether it is descending
    limit: int
    marker: str | None


def understood(query: Query, minor: int, *, is_admin: bool) -> Wanted:
    """What a query means at this microversion. Raises Invalid, Forbidden."""
    if minor >= 75:
        unknown = set(query) - set(PLAIN) - set(PLAIN_FOR_ADMINS) - OTHERS
        if unknown:
            raise Invalid(f"Invalid input for query parameters {', '.join(sorted(unknown))}: not known.")
    is_all = is_flag(query, "all_tenants", if_empty=True)
    if is_all and not is_admin:
        raise Forbidden("Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.")
    return Wanted(
        is_all_tenants=is_all,
        project=last(query, "project_id") or last(query, "tenant_id"),
        is_deleted=is_admin and is_flag(query, "deleted"),
        changed_since=time_of(query, "changes-since"),
        tests=tuple(tests_of(query, minor, is_admin=is_admin)),
        sorts=tuple(sorts_of(query, is_admin=is_admin)),
        limit=limit_of(query),
        marker=last(query, "marker"),
    )


def tests_of(query: Query, minor: int, *, is_admin: bool) -> Iterable[Test]:
    """Each narrows the list; the values of a key that comes more than once are alternatives."""
    for key, value_of in {**PLAIN, **PLAIN_FOR_ADMINS}.items():
        if key in query and (is_admin or minor >= MEMBERS_SINCE.get(key, MOST_MINOR)):
            yield one_of(value_of, [value.rsplit("/", 1)[-1] for value in query[key]])
    if "name" in query:
        yield matching(query["name"][-1], "name", lambda server: [server.name])
    for key, sign in (("ip", "."), ("ip6", ":")):
        if key in query and (key == "ip" or is_admin or minor >= 5):
            yield matching(query[key][-1], key, addresses_with(sign))
    if "status" in query:
        yield with_status(query["status"], minor, is_admin=is_admin)
    before = time_of(query, "changes-before")
    if before is not None and minor >= 66:
        yield lambda server: server.updated <= before
    if "locked" in query and minor >= 73:
        is_locked = is_flag(query, "locked")
        yield lambda server: server.is_locked is is_locked
    if minor >= 26:
        yield from tag_tests(query)


def one_of(value_of: Callable[[Server], str], values: Sequence[str]) -> Test:
    return lambda server: value_of(server) in values


def matching(pattern: str, key: str, values_of: Callable[[Server], Sequence[str]]) -> Test:
    """Raises Invalid for what is no pattern, and for one that might take long: searching holds up everybody."""
    if is_costly(pattern):
        raise Invalid(
            f"Invalid input for query parameter {key}: too complex a pattern. It may have two of * + ? {{}}, none of "
            f"them after a group, and {MOST_ALTERNATIVES} alternatives."
        )
    try:
        found = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise Invalid(f"Invalid input for query parameter {key}: {error}") from error
    return lambda server: any(found.search(value) for value in values_of(server))


def is_costly(pattern: str) -> bool:
    """Whether a backtracking search for it may take more than the square of a name's length."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", pattern)  # no escapes, no classes
    greedy = re.sub(r"([*+?}])[?+]", r"\1", bare)
    return (
        len(re.findall(r"(?<!\()[*+?{]", greedy)) > 2
        or re.search(r"\)[*+?{]", greedy) is not None
        or greedy.count("|") >= MOST_ALTERNATIVES
        or len(pattern) > LONGEST_PATTERN
    )


def addresses_with(sign: str) -> Callable[[Server], Sequence[str]]:
    return lambda server: [address for nic in shown_nics(server) for address in nic.addresses if sign in address]


def with_status(values: Sequence[str], minor: int, *, is_admin: bool) -> Test:
    wanted = {value.upper() for value in values}
    if minor >= 38 and not wanted <= STATUSES:
        raise Invalid(f"Invalid status value: {', '.join(sorted(wanted - STATUSES))}")
    if "DELETED" in wanted and not is_admin:
        raise Forbidden("Only administrators may list deleted instances")
    return lambda server: status(server.life) in wanted


def tag_tests(query: Query) -> Iterable[Test]:
    def tags(key: str) -> frozenset[str] | None:
        return frozenset(query[key][-1].split(",")) if key in query else None

    every, some, not_every, none = tags("tags"), tags("tags-any"), tags("not-tags"), tags("not-tags-any")
    if every is not None:
        yield lambda server: every <= set(server.tags)
    if some is not None:
        yield lambda server: bool(some & set(server.tags))
    if not_every is not None:
        yield lambda server: not not_every <= set(server.tags)
    if none is not None:
        yield lambda server: not none & set(server.tags)


def sorts_of(query: Query, *, is_admin: bool) -> Iterable[tuple[str, bool]]:
    """As asked for; then newest first."""
    directions = list(query.get("sort_dir", ()))
    for index, key in enumerate(query.get("sort_key", ())):
        if key not in SORT_KEYS:
            raise Invalid(f"Invalid input for query parameter sort_key. Value: {key}.")
        if key in FOR_ADMINS and not is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
        direction = directions[index] if index < len(directions) else "desc"
        if direction not in {"asc", "desc"}:
            raise Invalid(f"Invalid input for query parameter sort_dir. Value: {direction}.")
        yield key, direction == "desc"


def chosen(servers: Sequence[Server], wanted: Wanted) -> Sequence[Server]:
    """The servers that pass the tests, sorted; they come newest first."""
    found = [server for server in servers if all(test(server) for test in wanted.tests)]
    for key, is_descending in reversed(wanted.sorts):
        found.sort(key=SORT_KEYS[key], reverse=is_descending)
    return found


def page(servers: Sequence[Server], marker: str | None, limit: int) -> tuple[Sequence[Server], bool]:
    """The servers after the marker, and whether there are more. Raises Invalid for a marker that is not there."""
    if marker is not None:
        index = next((index for index, server in enumerate(servers) if server.id == marker), None)
        if index is None:
            raise Invalid(f"marker [{marker}] not found")
        servers = servers[index + 1 :]
    return servers[:limit], len(servers) > limit


def last(query: Query, key: str) -> str | None:
    values = query.get(key)
    return values[-1] if values else None


def is_flag(query: Query, key: str, *, if_empty: bool = False) -> bool:
    value = last(query, key)
    if value is None:
        return False
    return if_empty if value == "" else is_true(value)


def limit_of(query: Query, most: int = MOST) -> int:
    """Raises Invalid for what is no number from 0 on."""
    value = last(query, "limit")
    if value is None:
        return most
    limit = number(value, "limit")
    if limit < 0:
        raise Invalid(f"Invalid input for query parameter limit. Value: {value}. It is below 0.")
    return min(limit, most)


def time_of(query: Query, key: str) -> datetime | None:
    """Raises Invalid for what is no ISO 8601 time; without a zone it is UTC."""
    value = last(query, key)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError as error:
        raise Invalid(f"Invalid input for query parameter {key}. Value: {value}. It is not a time.") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
