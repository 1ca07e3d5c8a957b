"""What a command does not use it does not import."""

import resource
import subprocess
import sys

import pytest

from moorage.app.serving.settings import Service

HEAVY = (
    *("sqlalchemy", "falcon", "uvicorn", "aiohttp", "alembic", "pyroute2", "argon2", "jwt", "qemu.qmp", "uvloop"),
    *("prometheus_client", "asyncpg", "greenlet", "aio_pika", "aiormq", "pamqp"),
)
HELP_LIMIT = 2.0  # times the help of the smallest command: it takes 0.8 to 1.4 of it, with SQLAlchemy it would 2.3
SMALLEST = "import typer\napp = typer.Typer()\n@app.command()\ndef smallest(): ...\napp(['--help'])"


def modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    return set(ran.stdout.splitlines())


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("import moorage.cli.main")
    assert [name for name in HEAVY if name in loaded] == []


def test_the_domain_imports_nothing_of_a_cloud() -> None:
    loaded = modules_after("from moorage.domain import hops, news, port, server")
    assert [name for name in (*HEAVY, "msgspec", "structlog", "asyncio") if name in loaded] == []


def test_a_cloud_on_sqlite_imports_nothing_of_postgresql_and_on_a_bus_in_memory_nothing_of_amqp() -> None:
    """Nor what brings old tables up to date, as long as there are none."""
    loaded = modules_after("import moorage.app.all_in_one\nfrom moorage.app.databases import in_memory\nin_memory()")
    assert [name for name in ("asyncpg", "alembic", "mako", "aio_pika", "aiormq", "pamqp") if name in loaded] == []


@pytest.mark.parametrize("words", [[], ["up"], ["experiment"]])
def test_help_is_there_at_once(words: list[str]) -> None:
    """By the time of a processor, beside another program's at the same load of the machine."""

    def took(*argv: str) -> float:
        began = time_of_children()
        subprocess.run([sys.executable, *argv], capture_output=True, timeout=60, check=True)
        return time_of_children() - began

    times = [(took("-m", "moorage.cli.main", *words, "--help"), took("-c", SMALLEST)) for _ in range(5)]
    assert min(help for help, _ in times) < HELP_LIMIT * min(smallest for _, smallest in times)


def time_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


SERVICES = {"identity", "image", "compute_api", "network", "compute", "agent", "timeline"}
ALSO = {"image": {"identity"}, "network": {"identity"}, "compute_api": {"identity", "timeline"}}  # identity's verifier


@pytest.mark.parametrize("service", [service for service in Service if service is not Service.HOLDER])
def test_a_process_imports_its_own_service_alone(service: Service) -> None:
    name = service.name.lower()
    loaded = modules_after(f"import moorage.app.serving.{name}")
    others = SERVICES - {name} - ALSO.get(name, set())
    assert [module for other in others for module in loaded if module.startswith(f"moorage.{other}.")] == []
    assert [module for module in ("alembic", "pyroute2", "typer") if module in loaded] == []


@pytest.mark.parametrize("name", ["compute", "agent"])
def test_a_host_has_nothing_that_speaks_to_a_database(name: str) -> None:
    loaded = modules_after(f"import moorage.app.serving.{name}")
    assert [module for module in ("sqlalchemy", "asyncpg", "psycopg") if module in loaded] == []
    assert [module for module in loaded if module.startswith("moorage.adapters.database")] == []
