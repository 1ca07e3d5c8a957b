"""The image service put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from moorage.adapters.database.engine import Database
from moorage.adapters.database.images import DatabaseImageStore
from moorage.adapters.files.images import FileImages
from moorage.app.deadlines import STORE, limited
from moorage.app.serving.apis import database, verifier
from moorage.app.serving.part import Part
from moorage.app.serving.process import Process, serving
from moorage.app.serving.settings import ServeSettings
from moorage.image.http import make_app
from moorage.image.service import ImageService
from moorage.seams.clock import Clock
from moorage.seams.image_files import ImageFiles
from moorage.seams.tokens import TokenVerifier

USER = "glance"


def make_image(database: Database, files: ImageFiles, clock: Clock, verifier: TokenVerifier) -> Part[ImageService]:
    store = limited("the image store", DatabaseImageStore(database), seconds=STORE)
    service = ImageService(store, files, clock)
    return Part("image", service, make_app(service, verifier), begin=service.recover)


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    api = settings.image
    assert api is not None
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        tables = await database(process, "image", api)
        trusted = await verifier(process, await process.calling(USER))
        image = make_image(tables, FileImages(api.directory), process.clock, trusted)
        await stack.enter_async_context(serving(process, [image], api))
        yield
