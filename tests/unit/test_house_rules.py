"""The rules of the house that can be seen in the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "moorage"

BARE_TASKS = {"asyncio.create_task", "asyncio.ensure_future", "asyncio.shield"}
IMPURE = {
    "time.time",
    "time.monotonic",
    "time.perf_counter",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "date.today",
    "uuid4",
    "uuid.uuid4",
}
METHODS = {"get_running_loop().create_task", "get_event_loop().create_task", "loop.create_task"}


def dotted(node: ast.expr) -> str:
    """`a.b().c` as a string; "" for what is no chain of names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
        case ast.Call(func=func):
            return f"{dotted(func)}()"
        case _:
            return ""


def bare_tasks(tree: ast.AST) -> Iterator[int]:
    """Lines where a task is born without a group to own it, or shielded from its owner."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            if {alias.name for alias in node.names} & {"create_task", "ensure_future", "shield"}:
                yield node.lineno
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in BARE_TASKS or any(name.endswith(method) for method in METHODS):
                yield node.lineno


def impure_calls(tree: ast.AST) -> Iterator[int]:
    """Lines that read a clock or make an id."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) in IMPURE:
            yield node.lineno


def swallowed_cancellations(tree: ast.AST) -> Iterator[int]:
    """Lines that catch CancelledError or BaseException."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(dotted(kind).rsplit(".", 1)[-1] in {"CancelledError", "BaseException"} for kind in caught):
                yield node.lineno


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (SOURCE / folder).rglob("*.py"))


def found(paths: list[Path], rule: str) -> list[str]:
    rules = {"tasks": bare_tasks, "pure": impure_calls, "cancellation": swallowed_cancellations}
    return [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in paths
        for line in rules[rule](ast.parse(path.read_text(), str(path)))
    ]


def test_tasks_are_born_in_groups_only() -> None:
    everywhere_but_kit = [path for path in sources("") if path.relative_to(SOURCE).parts[0] != "kit"]
    assert found(everywhere_but_kit, "tasks") == []


def test_the_domain_has_no_clock_and_makes_no_ids() -> None:
    assert found(sources("domain"), "pure") == []


def test_nobody_catches_cancellation() -> None:
    assert found(sources(""), "cancellation") == []


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "common", "base", "misc", "core"}
    assert [str(path) for path in sources("") if path.stem in drawers] == []


def test_each_module_says_what_it_is_for() -> None:
    silent = [path for path in sources("") if ast.get_docstring(ast.parse(path.read_text())) is None]
    assert [str(path.relative_to(SOURCE)) for path in silent] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("asyncio.create_task(run())", [1]),
        ("asyncio.ensure_future(run())", [1]),
        ("await_ = asyncio.shield(run())", [1]),
        ("asyncio.get_running_loop().create_task(run())", [1]),
        ("from asyncio import create_task", [1]),
        ("group.create_task(run())", []),
        ("self._group.create_task(run())", []),
    ],
)
def test_the_task_rule_sees_what_it_should(source: str, lines: list[int]) -> None:
    assert list(bare_tasks(ast.parse(source))) == lines


@pytest.mark.parametrize("source", ["time.time()", "datetime.now(UTC)", "datetime.datetime.now()", "uuid4()"])
def test_the_purity_rule_sees_what_it_should(source: str) -> None:
    assert list(impure_calls(ast.parse(source))) == [1]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("try:\n    pass\nexcept BaseException:\n    pass", [3]),
        ("try:\n    pass\nexcept (OSError, asyncio.CancelledError):\n    pass", [3]),
        ("try:\n    pass\nexcept Exception:\n    pass", []),
    ],
)
def test_the_cancellation_rule_sees_what_it_should(source: str, lines: list[int]) -> None:
    assert list(swallowed_cancellations(ast.parse(source))) == lines


def test_no_test_is_skipped() -> None:
    """A test that cannot run on a machine fails there, and says so."""
    skipping = re.compile(r"pytest\.(skip|mark\.skip|mark\.skipif|mark\.xfail|xfail|importorskip)\b")
    here = Path(__file__)
    found = [path.name for path in here.parents[1].rglob("*.py") if path != here and skipping.search(path.read_text())]
    assert found == []
