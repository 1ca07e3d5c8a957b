"""What was asked of a server, by whom, and how it ended: the instance actions of the Compute API."""

from dataclasses import dataclass, replace
from datetime import datetime

from moorage.domain.ids import HostName, ProjectId, ServerId, UserId


@dataclass(frozen=True)
class ActionEvent:
    """One step of an action, on one host."""

    name: str
    started: datetime
    finished: datetime | None = None
    result: str | None = None  # Success or Error
    host: HostName | None = None
    details: str | None = None


@dataclass(frozen=True)
class InstanceAction:
    """A request that changes a server; `message` is "Error" when it failed."""

    server: ServerId
    request_id: str
    action: str
    user: UserId
    project: ProjectId
    started: datetime
    updated: datetime
    message: str | None = None
    events: tuple[ActionEvent, ...] = ()


def stepped(action: InstanceAction, event: str, host: HostName | None, now: datetime) -> InstanceAction:
    """The action with another step begun."""
    return replace(action, updated=now, events=(*action.events, ActionEvent(event, now, host=host)))


def finished(action: InstanceAction, now: datetime, *, error: str | None = None) -> InstanceAction:
    """The action with its open steps closed: well, or with an `error` for users to read."""
    result = "Success" if error is None else "Error"
    events = tuple(
        replace(event, finished=now, result=result, details=error) if event.finished is None else event
        for event in action.events
    )
    return replace(action, updated=now, events=events, message=None if error is None else "Error")
