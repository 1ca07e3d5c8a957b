"""The image service put together."""

from moorage.adapters.database.engine import Database
from moorage.adapters.database.images import DatabaseImageStore
from moorage.app.serving.part import Part
from moorage.image.http import make_app
from moorage.image.service import ImageService
from moorage.seams.clock import Clock
from moorage.seams.image_files import ImageFiles
from moorage.seams.tokens import TokenVerifier


def make_image(database: Database, files: ImageFiles, clock: Clock, verifier: TokenVerifier) -> Part[ImageService]:
    service = ImageService(DatabaseImageStore(database), files, clock)
    return Part("image", service, make_app(service, verifier), begin=service.recover)
