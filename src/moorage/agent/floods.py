"""How what is for many ports of a network reaches them: each policy is asked once, for all its ports."""

from collections.abc import Iterable, Sequence

from moorage.agent.pipeline import (
    ALLOWED,
    DELIVER,
    FABRIC,
    FLOOD,
    FLOOD_ALL,
    FLOOD_ALLOWED,
    FLOOD_OPEN,
    IN,
    POLICY,
    RULES_IN,
    ask_anew,
)
from moorage.agent.places import Place, to
from moorage.seams.flow import Action, Flow, GoTo, Load, Masked, Match, Output, Resubmit


def flows_of(places: Sequence[Place]) -> list[Flow]:
    """The flows of one network's ports on this host. They have one VLAN; if not, each only reaches those on its own,
    until they are put right."""
    by_vlan: dict[int, list[Place]] = {}
    for place in sorted(places, key=lambda place: place.ofport):
        by_vlan.setdefault(place.vlan, []).append(place)
    return [flow for vlan, there in by_vlan.items() for flow in _of_vlan(vlan, there)]


def _of_vlan(vlan: int, in_order: Sequence[Place]) -> list[Flow]:
    open_to_all = [Output(place.ofport) for place in in_order if place.policy is None]
    by_policy: dict[int, list[Action]] = {}
    for place in in_order:
        if place.policy is not None:
            by_policy.setdefault(place.policy, []).append(Output(place.ofport))
    asking: list[Action] = []
    for policy in sorted(by_policy):
        asking += [Load(POLICY, policy), ask_anew, Resubmit(RULES_IN), Resubmit(FLOOD_ALLOWED)]
    here = Match(reg6=vlan)
    return [
        Flow(FLOOD, 10, here, (*asking, *open_to_all, GoTo(FABRIC))),
        Flow(FLOOD_ALL, 10, here, (*(Output(place.ofport) for place in in_order), GoTo(FABRIC))),
        Flow(FLOOD_OPEN, 10, here, (*open_to_all, GoTo(FABRIC))),
        *(
            Flow(FLOOD_ALLOWED, 10, Match(reg6=vlan, xreg0=policy, reg2=Masked(ALLOWED, ALLOWED)), tuple(outputs))
            for policy, outputs in by_policy.items()
        ),
        *_borrowed(vlan, in_order),
    ]


def _borrowed(vlan: int, places: Iterable[Place]) -> Iterable[Flow]:
    """MAC addresses that ports may have by their address pairs: several may, and all of them get what is for it."""
    owners: dict[str, list[Action]] = {}
    for place in places:
        for mac in sorted(place.macs - {place.mac}):
            owners.setdefault(mac, []).extend((*to(place), Resubmit(IN)))
    for mac, actions in owners.items():
        yield Flow(DELIVER, 19, Match(reg6=vlan, dl_dst=mac), (*actions, GoTo(FABRIC)))
