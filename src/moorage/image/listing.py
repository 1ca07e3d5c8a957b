"""Which images a list shows, in which order, and how much of it at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage.domain.errors import Invalid
from moorage.domain.image import Image, MemberStatus, Viewer, Visibility

DEFAULT_LIMIT = 25
MAX_LIMIT = 1000
SORT_KEYS = {
    "name": lambda image: image.name or "",
    "status": lambda image: image.status.value,
    "container_format": lambda image: image.container_format or "",
    "disk_format": lambda image: image.disk_format or "",
    "size": lambda image: image.size if image.size is not None else -1,
    "id": lambda image: image.id,
    "created_at": lambda image: image.created_at,
    "updated_at": lambda image: image.updated_at,
}
COMPARISONS = ("gt", "gte", "lt", "lte", "eq", "neq")
TEXT_FILTERS = ("name", "id", "status", "disk_format", "container_format")  # these know in:a,b too
NO_FILTERS = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "os_hidden"})


@dataclass(frozen=True)
class Order:
    """One key to sort by."""

    key: str
    is_descending: bool = True


@dataclass(frozen=True)
class Wanted:
    """A list as it was asked for. `visibility` None: what a viewer sees without asking for more."""

    filters: tuple[tuple[str, str], ...] = ()
    visibility: Visibility | None = None
    is_all: bool = False  # visibility=all
    is_hidden: bool = False
    member_status: str = "accepted"  # of images that others share with the viewer
    order: tuple[Order, ...] = (Order("created_at"),)
    limit: int = DEFAULT_LIMIT
    marker: str | None = None


def wanted(query: Mapping[str, Sequence[str]]) -> Wanted:
    """What a query asks for. Raises Invalid."""
    last = {name: values[-1] for name, values in query.items() if values}
    filters = tuple((name, value) for name, values in query.items() for value in values if name not in NO_FILTERS)
    for name, value in filters:
        _check(name, value)
    visibility = last.get("visibility")
    if visibility is not None and visibility not in (*Visibility, "all"):
        raise Invalid(f"Invalid visibility value: {visibility}")
    return Wanted(
        filters=filters,
        visibility=Visibility(visibility) if visibility not in (None, "all") else None,
        is_all=visibility == "all",
        member_status=_member_status(last.get("member_status", "accepted")),
        is_hidden=_flag("os_hidden", last.get("os_hidden", "false")),
        order=_order(query),
        limit=_limit(last.get("limit")),
        marker=last.get("marker"),
    )


def _member_status(value: str) -> str:
    if value not in (*MemberStatus, "all"):
        raise Invalid(f"Invalid status: {value}. It is pending, accepted, rejected or all.")
    return value


def ids_of(asked: Wanted) -> tuple[str, ...] | None:
    """The ids that alone can match, None when any can."""
    for name, value in asked.filters:
        if name == "id":
            return tuple(_alternatives(value))
    return None


def page(images: Sequence[Image], asked: Wanted, viewer: Viewer) -> tuple[list[Image], bool]:
    """The images to show, and whether more come after them. Raises Invalid for an unknown marker."""
    found = [image for image in images if _matches(image, asked, viewer)]
    found.sort(key=lambda image: image.id)
    for order in reversed(asked.order):
        found.sort(key=SORT_KEYS[order.key], reverse=order.is_descending)
    if asked.marker is not None:
        places = [place for place, image in enumerate(found) if image.id == asked.marker]
        if not places:
            raise Invalid(f"Invalid marker: no image with id {asked.marker} is in this list.")
        found = found[places[0] + 1 :]
    return found[: asked.limit], len(found) > asked.limit


def _matches(image: Image, asked: Wanted, viewer: Viewer) -> bool:
    if image.is_hidden != asked.is_hidden:
        return False
    if asked.visibility is not None and image.visibility is not asked.visibility:
        return False
    is_others_community = image.visibility is Visibility.COMMUNITY and image.owner != viewer.project
    if is_others_community and not (asked.is_all or asked.visibility is Visibility.COMMUNITY):
        return False
    if not image.is_owned_by(viewer) and asked.member_status != "all":
        member = image.membership_of(viewer)
        if member is not None and member.status != asked.member_status:
            return False
    return all(_fits(image, name, value) for name, value in asked.filters)


def _fits(image: Image, name: str, value: str) -> bool:
    match name:
        case "tag":
            return value in image.tags
        case "owner":
            return image.owner == value
        case "protected":
            return image.is_protected == _flag(name, value)
        case "size_min":
            return image.size is not None and image.size >= _count(name, value)
        case "size_max":
            return image.size is not None and image.size <= _count(name, value)
        case "size" | "min_disk" | "min_ram":
            return bool(getattr(image, name) == _count(name, value))
        case "created_at" | "updated_at":
            return _compares(getattr(image, name), name, value)
        case _ if name in TEXT_FILTERS:
            return str(getattr(image, name)) in _alternatives(value)
        case _:
            return image.properties.get(name) == value


def _check(name: str, value: str) -> None:
    """Raises Invalid for a filter that no image could be held against."""
    match name:
        case "protected":
            _flag(name, value)
        case "size" | "size_min" | "size_max" | "min_disk" | "min_ram":
            _count(name, value)
        case "created_at" | "updated_at":
            _comparison(name, value)
        case _ if name in TEXT_FILTERS:
            _alternatives(value)


def _alternatives(value: str) -> list[str]:
    """The values of `in:a,b`, where "…" may hold commas; of any other text, itself. Raises Invalid."""
    if not value.startswith("in:"):
        return [value]
    listed = value.removeprefix("in:")
    found = re.findall(r'(?:^|,)(?:"([^"]*)"|([^",]*))', listed)
    if listed.count('"') % 2:
        raise Invalid(f"Invalid filter value {value}: a quote is not closed.")
    return [quoted or bare for quoted, bare in found]


def _comparison(name: str, value: str) -> tuple[str, datetime]:
    """What `gt:2026-01-01T00:00:00Z` says. Raises Invalid."""
    comparison, found, text = value.partition(":")
    if not found or comparison not in COMPARISONS:
        comparison, text = "eq", value
    try:
        other = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"Invalid filter value {value} for {name}: a comparison and a date are needed.") from None
    return comparison, other if other.tzinfo is not None else other.replace(tzinfo=UTC)


def _compares(at: datetime, name: str, value: str) -> bool:
    comparison, other = _comparison(name, value)
    at = at.replace(microsecond=0)  # as it is shown
    outcomes = {
        "gt": at > other,
        "gte": at >= other,
        "lt": at < other,
        "lte": at <= other,
        "eq": at == other,
        "neq": at != other,
    }
    return outcomes[comparison]


def _order(query: Mapping[str, Sequence[str]]) -> tuple[Order, ...]:
    """Newest first unless asked otherwise. Raises Invalid."""
    if query.get("sort"):
        if query.get("sort_key") or query.get("sort_dir"):
            raise Invalid("Old and new sorting syntax cannot be combined.")
        pairs = [part.strip().partition(":") for part in query["sort"][-1].split(",")]
        asked = [(key, direction or "desc") for key, _, direction in pairs]
    else:
        keys, directions = list(query.get("sort_key") or ["created_at"]), list(query.get("sort_dir") or ["desc"])
        if len(directions) == 1:
            directions *= len(keys)
        if len(directions) != len(keys):
            raise Invalid("Number of sort dirs does not match the number of sort keys.")
        asked = list(zip(keys, directions, strict=True))
    for key, direction in asked:
        if key not in SORT_KEYS:
            raise Invalid(f"Invalid sort key: {key}. It must be one of: {', '.join(sorted(SORT_KEYS))}.")
        if direction not in ("asc", "desc"):
            raise Invalid(f"Invalid sort direction: {direction}. It must be one of: asc, desc.")
    return tuple(Order(key, direction == "desc") for key, direction in asked)


def _limit(value: str | None) -> int:
    return min(_count("limit", value), MAX_LIMIT) if value is not None else DEFAULT_LIMIT


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise Invalid(f"Invalid value {value} for {name}: it must be an integer, 0 or more.")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise Invalid(f"Invalid value '{value}' for {name}: it must be true or false.")
    return value.lower() == "true"


def first_query(query: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The query of the first page."""
    return [(name, value) for name, values in query.items() for value in values if name != "marker"]


def next_query(query: Mapping[str, Sequence[str]], shown: Sequence[Image]) -> list[tuple[str, str]]:
    """The query of the page after the one that ends with the last of `shown`."""
    return [*first_query(query), ("marker", shown[-1].id)]
