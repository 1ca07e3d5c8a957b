"""What Tempest needs in a cloud, made by its admin over the APIs, and the configuration that tells where it is."""

from pathlib import Path
from typing import Any

from tests.compat.clients import Http, Place

from moorage.app.clouds_yaml import ADMIN, Account, account_in

TEMPLATE = Path(__file__).with_name("tempest.conf.template")
NETWORK = "tempest-shared"
IMAGES = ("image", "image_alt")
FLAVORS = {"flavor": (128, 1), "flavor_alt": (192, 2)}  # MiB, GiB
TAKEN_OVER = ("kernel_id", "ramdisk_id", "os_command_line")  # what makes a bootable image of the cloud's own
IMAGE_SIZE = 1 << 20  # bytes


def configure(place: Place, directory: Path) -> Path:
    """Tempest's configuration, written into `directory`, which it may use."""
    account = account_in(place.clouds_yaml, ADMIN)
    admin = Http(place.url, token_of(account, place))
    data = directory / "image.raw"
    data.write_bytes(bytes(IMAGE_SIZE))
    known = {
        "directory": directory,
        "url": place.url,
        "admin_user": account.user,
        "admin_password": account.password,
        "admin_project": account.project,
        **{name: made_image(admin, name, data) for name in IMAGES},
        **{name: made_flavor(admin, name, *size) for name, size in FLAVORS.items()},
        "network": made_network(admin),
        "extensions": ",".join(each["alias"] for each in admin.get("/network/v2.0/extensions")["extensions"]),
        "microversion": admin.get("/compute/v2.1")["version"]["version"],
    }
    config = directory / "tempest.conf"
    config.write_text(TEMPLATE.read_text().format(**known))
    return config


def token_of(account: Account, place: Place) -> str:
    domain = {"domain": {"id": "default"}}
    user = {"name": account.user, "password": account.password, **domain}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": account.project, **domain}}}}
    answer = Http(place.url, "").call("POST", "/identity/v3/auth/tokens", body)
    assert answer.status == 201, answer.body
    return answer.headers["x-subject-token"]


def made_image(admin: Http, name: str, data: Path) -> str:
    """A public image that boots like the cloud's own."""
    [own] = admin.get("/image/v2/images?name=moorage-guest")["images"]
    body = {key: own[key] for key in TAKEN_OVER if key in own}
    body |= {"name": f"tempest-{name}", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    image = made(admin, "/image/v2/images", body)["id"]
    filled = admin.call(
        "PUT",
        f"/image/v2/images/{image}/file",
        raw=data.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert filled.status == 204, filled.body
    return str(image)


def made_flavor(admin: Http, name: str, ram: int, disk: int) -> str:
    flavor = {"name": f"tempest-{name}", "ram": ram, "vcpus": 1, "disk": disk}
    return str(made(admin, "/compute/v2.1/flavors", {"flavor": flavor})["flavor"]["id"])


def made_network(admin: Http) -> str:
    """The name of a network that all projects share, with room for all their servers."""
    network = made(admin, "/network/v2.0/networks", {"network": {"name": NETWORK, "shared": True}})["network"]
    made(
        admin,
        "/network/v2.0/subnets",
        {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.200.0.0/16"}},
    )
    return NETWORK


def made(admin: Http, path: str, body: Any) -> Any:
    answer = admin.call("POST", path, body)
    assert answer.status in (200, 201), answer.body
    return answer.json
