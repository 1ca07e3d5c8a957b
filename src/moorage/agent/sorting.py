"""What is to become of the ports that are looked at: wired by a plan, taken off, or set aside, alone (hop wired)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from moorage.domain.errors import MoorageError
from moorage.domain.ids import PortId
from moorage.seams.switch import Interface, WirePlan
from moorage.wire.messages import PortDetails


@dataclass(frozen=True)
class Sorted:
    """`late` have a plan another time; `aside` can have none as the network tells them now. Both with the reason."""

    plans: list[WirePlan] = field(default_factory=list)
    refused: list[Interface] = field(default_factory=list)  # not bound here, or switched off
    late: dict[PortId, str] = field(default_factory=dict)
    aside: dict[PortId, str] = field(default_factory=dict)


def sort(
    interfaces: Iterable[Interface],
    details: Mapping[str, PortDetails],
    plan: Callable[[PortDetails, Interface], WirePlan],
) -> Sorted:
    """`plan` raises MoorageError when it cannot be now; any other error says that the details make no sense."""
    found = Sorted()
    for interface in interfaces:
        told = details.get(interface.port)
        if told is None or not told.is_bound_here or not told.admin_state_up:
            found.refused.append(interface)
            continue
        try:
            found.plans.append(plan(told, interface))
        except MoorageError as error:
            found.late[interface.port] = str(error)
        except Exception as error:  # whatever it is: it is this port's, and shall be no other's
            found.aside[interface.port] = f"{type(error).__name__}: {error}"
    return found
