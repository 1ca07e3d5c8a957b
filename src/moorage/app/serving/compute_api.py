"""Compute API put together (hops asked, heard)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import uuid4

from moorage.adapters.database.compute import ComputeDatabase
from moorage.adapters.database.engine import Database
from moorage.adapters.http.image_client import HttpImageApi
from moorage.adapters.http.network_client import HttpNetworkApi
from moorage.adapters.keys.making import new_key
from moorage.app.deadlines import IMAGES
from moorage.app.serving.apis import database, surroundings
from moorage.app.serving.part import Part, Surroundings
from moorage.app.serving.process import Process, serving
from moorage.app.serving.settings import ServeSettings
from moorage.app.serving.timeline import make_timeline
from moorage.compute_api.bootstrap import bootstrap
from moorage.compute_api.http.app import make_app
from moorage.compute_api.service import ComputeApiService

USER = "nova"


def make_compute_api(database: Database, around: Surroundings) -> Part[ComputeApiService]:
    store = around.store("the server store", ComputeDatabase(database))
    service = ComputeApiService(
        store=store,
        bus=around.bus,
        clock=around.clock,
        timeline=around.timeline,
        network=around.seam("the Network API", HttpNetworkApi(around.sessions("network", USER))),
        images=around.seam("the Image API", HttpImageApi(around.sessions("image", USER)), but=IMAGES),
        new_id=lambda: str(uuid4()),
        new_key=new_key,
    )
    return Part(
        "compute",
        service,
        make_app(service, around.verifier),
        runners=[("compute API", service.run)],
        begin=partial(bootstrap, store),
    )


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    """With the timeline."""
    api = settings.compute_api
    assert api is not None
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        servers, facts = await database(process, "compute", api), await database(process, "timeline", api)
        around = await surroundings(process, await process.calling(USER))
        parts = [make_compute_api(servers, around), make_timeline(facts, around)]
        await stack.enter_async_context(serving(process, parts, api))
        yield
