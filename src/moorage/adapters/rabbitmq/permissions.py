"""What a host's user may do on the broker: serve its own queues, ask services, answer what it was asked, no more."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import join
from typing import Any

from moorage.adapters.rabbitmq import routes
from moorage.adapters.rabbitmq.settings import HOST_USER
from moorage.domain.ids import HostName

NOTHING = "^$"
_TOKEN = "[0-9a-f]+"


@dataclass(frozen=True)
class Permissions:
    """Regular expressions, as RabbitMQ takes them. `topics`: what keys it may write to and read from an exchange."""

    configure: str
    write: str
    read: str
    topics: Mapping[str, tuple[str, str]]


def of_host(host: HostName) -> Permissions:
    """Its queues and reply queues may be bound to its own keys only, so that it hears nothing meant for another."""
    mine = rf"(compute|agent)\.{re.escape(host)}"
    my_replies = rf"{re.escape(routes.reply_queue(host, ''))}{_TOKEN}"
    services_replies = rf"{re.escape(routes.reply_queue(None, ''))}{_TOKEN}"
    queues = f"{mine}|{my_replies}"
    return Permissions(
        configure=f"^({queues})$",
        write=f"^({_any(routes.SERVICES, routes.REPLIES, routes.DEAD)}|{queues})$",
        read=f"^({_any(routes.HOSTS, routes.REPLIES)}|{queues})$",
        topics={
            routes.HOSTS: (NOTHING, f"^{mine}$"),
            routes.REPLIES: (f"^{services_replies}$", f"^{my_replies}$"),
        },
    )


def user_of(host: HostName) -> str:
    return f"{HOST_USER}{host}"


def commands(host: HostName, vhost: str) -> Sequence[str]:
    """The lines that make the host's user on a broker, or bring it up to date; the first asks for a password."""
    user, may = user_of(host), of_host(host)
    lines = [
        ["rabbitmqctl", "add_user", user],
        ["rabbitmqctl", "set_permissions", "-p", vhost, user, may.configure, may.write, may.read],
    ]
    for exchange, (write, read) in may.topics.items():
        lines.append(["rabbitmqctl", "set_topic_permissions", "-p", vhost, user, exchange, write, read])
    return [join(line) for line in lines]


def definitions(host: HostName, vhost: str, password: str) -> Mapping[str, Any]:
    """The same, for `rabbitmqctl import_definitions`."""
    user, may = user_of(host), of_host(host)
    return {
        "users": [{"name": user, "password": password, "tags": ""}],
        "permissions": [
            {"user": user, "vhost": vhost, "configure": may.configure, "write": may.write, "read": may.read}
        ],
        "topic_permissions": [
            {"user": user, "vhost": vhost, "exchange": exchange, "write": write, "read": read}
            for exchange, (write, read) in may.topics.items()
        ],
    }


def _any(*names: str) -> str:
    return "|".join(map(re.escape, names))
