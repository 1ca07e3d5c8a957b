"""The timeline put together. It keeps the company of compute API, whose servers its facts are about."""

from moorage.adapters.database.engine import Database
from moorage.adapters.database.timeline import DatabaseFactStore
from moorage.adapters.http.session import error_of
from moorage.app.serving.part import Part, Surroundings
from moorage.domain.ids import ServerId
from moorage.timeline.http import make_timeline_app
from moorage.timeline.service import TimelineService

USER = "nova"


def make_timeline(database: Database, around: Surroundings) -> Part[TimelineService]:
    service = TimelineService(around.store("the fact store", DatabaseFactStore(database)), around.bus)
    compute = around.sessions("compute/v2.1", USER)

    async def require_visible(server: ServerId, token: str) -> None:
        """Raises NotFound unless the bearer of `token` may see the server: compute is asked, as anybody would."""
        reply = await compute.transport.request("GET", f"{compute.base}/servers/{server}", {"X-Auth-Token": token})
        if reply.status != 200:
            raise error_of(reply, "showing the server")

    return Part(
        "timeline",
        service,
        make_timeline_app(service, around.verifier, require_visible),
        runners=[("timeline", service.run)],
    )
