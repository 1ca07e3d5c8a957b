"""Everything that a process answers over HTTP: its services by path, and what is outside of the APIs."""

from collections.abc import Sequence

from moorage.app.health import Health
from moorage.app.metering import counted
from moorage.app.root import make_root
from moorage.app.serving.part import Part
from moorage.kit.mount import Mount
from moorage.seams.metrics import Metrics


def make_doors(app: Mount, parts: Sequence[Part[object]], health: Health, metrics: Metrics) -> None:
    """Mount them in `app`, each request counted."""
    for part in parts:
        app.add(part.name, counted(part.name, part.app, metrics))
    app.add_root(counted("root", make_root([part.name for part in parts], health, metrics), metrics))
