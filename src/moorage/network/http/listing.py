"""Lists as clients ask for them: filters, sorting, pages, fields. Pure functions over what is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.domain.errors import Invalid, NotFound

View = Mapping[str, Any]
Query = Mapping[str, Sequence[str]]
ABOUT_THE_LIST = frozenset({"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"})
TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")
TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")


def selected(views: Sequence[View], query: Query) -> list[View]:
    """The views that every filter of the query lets pass (its repeated values are alternatives), sorted and cut.

    Raises Invalid for a limit or sort key that is none, NotFound for an unknown marker.
    """
    found = [view for view in views if _passes(view, query)]
    return _page(_sorted(found, query), query)


def limit_of(query: Query) -> int | None:
    """The page's size; None for a single page. Raises Invalid."""
    if not query.get("limit"):
        return None
    try:
        limit = int(query["limit"][-1])
    except ValueError:
        limit = -1
    if limit < 0:
        raise Invalid(f"Invalid input for limit: '{query['limit'][-1]}' is not a number from 0 on.", kind="BadRequest")
    return limit or None


def is_reverse(query: Query) -> bool:
    """Whether the page before the marker is asked for, or without one the last."""
    return query.get("page_reverse", [""])[-1].lower() in ("true", "1")


def with_fields(view: View, query: Query) -> View:
    """Exactly the fields asked for; all of them when none is named."""
    fields = [field for field in query.get("fields", ()) if field]
    return {name: view[name] for name in fields if name in view} if fields else view


def _passes(view: View, query: Query) -> bool:
    for name, values in query.items():
        if name in TAGS:
            if not _tagged(view.get("tags", ()), name, values):
                return False
        elif name not in ABOUT_THE_LIST and name in view and not any(_matches(view, name, value) for value in values):
            return False
    return True


def _matches(view: View, name: str, value: str) -> bool:
    own = view[name]
    match own:
        case bool():
            return own is _is_true(name, value)
        case None:
            return value in ("", "None", "null")
        case list() if name == "fixed_ips":
            return any(_has_address(ip, value) for ip in own)
        case list():
            return value in own
        case _:
            return str(own) == value


def _is_true(name: str, value: str) -> bool:
    word = value.lower()
    if word not in (*TRUE, *FALSE):
        raise Invalid(f"Invalid input for {name}: '{value}' cannot be converted to boolean.", kind="InvalidInput")
    return word in TRUE


def _has_address(fixed_ip: View, wanted: str) -> bool:
    """`wanted` is ip_address=…, subnet_id=… or ip_address_substr=…"""
    key, _, value = wanted.partition("=")
    if key == "ip_address_substr":
        return value in fixed_ip["ip_address"]
    return str(fixed_ip.get(key)) == value


def _tagged(own: Sequence[str], name: str, values: Sequence[str]) -> bool:
    wanted = [tag for value in values for tag in value.split(",")]
    has = [tag in own for tag in wanted]
    found = any(has) if name.endswith("any") else all(has)
    return not found if name.startswith("not-") else found


def _sorted(views: list[View], query: Query) -> list[View]:
    keys = [key for key in query.get("sort_key", ()) if key]
    ways = list(query.get("sort_dir", ()))
    if any(way not in ("asc", "desc") for way in ways):
        raise Invalid("sort_dir is asc or desc.", kind="BadRequest")
    if ways and len(ways) != len(keys):
        raise Invalid("The number of sort_keys and sort_dirs must be same", kind="BadRequest")
    for key, way in reversed(list(zip(keys, ways or ["asc"] * len(keys), strict=True))):
        if any(key not in view or isinstance(view[key], list | dict) for view in views):
            raise Invalid(f"{key} is invalid attribute for sort_keys", kind="BadRequest")
        views.sort(key=lambda view: (view[key] is not None, view[key]), reverse=way == "desc")
    return views


def _page(views: list[View], query: Query) -> list[View]:
    limit = limit_of(query)
    if is_reverse(query):
        views = views[::-1]
    marker = query.get("marker", [""])[-1]
    if marker:
        places = [place for place, view in enumerate(views) if view["id"] == marker]
        if not places:
            raise NotFound(f"The marker {marker} could not be found.", kind="MarkerNotFound")
        views = views[places[0] + 1 :]
    views = views[:limit]
    return views[::-1] if is_reverse(query) else views
