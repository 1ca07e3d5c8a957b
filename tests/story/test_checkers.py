"""The checkers of the stories, tried themselves: what is planted is found, and nothing else is."""

import asyncio
from dataclasses import replace

from sqlalchemy import delete
from tests.story.clouds import Story, story, until
from tests.story.history import History
from tests.story.soundness import complaints
from tests.unit.ports import NOW, new_port

from moorage.adapters.database.network_tables import OutboxRow
from moorage.domain.events import EventName, ExternalEvent, Judgement, OutboxItem, Verdict
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, SubnetId
from moorage.domain.port import FixedIp, Port
from moorage.domain.server import VmState
from moorage.seams.external_events import Answer
from moorage.seams.hypervisor import Guest, GuestImage
from moorage.seams.switch import Vif

NOBODY = ServerId("99999999-9999-4999-8999-999999999999")
PORT = PortId("11111111-1111-4111-8111-111111111111")


async def _running(cloud: Story) -> ServerId:
    server = await cloud.create()
    assert await cloud.settled(server, within=1) == "ACTIVE"

    async def is_sound() -> bool:
        return not await complaints(cloud)

    await until(is_sound, within=1)
    return server


async def _forget_news(cloud: Story) -> None:
    database = cloud.plane.parts.databases["network"]
    await database.run("a planted loss", lambda session: session.execute(delete(OutboxRow)))


async def test_a_whole_story_gives_no_cause_for_complaint() -> None:
    history = History()
    async with story(listening=history.watch) as cloud:
        server = await _running(cloud)
        await cloud.delete(server)
        assert await cloud.settled(server, within=1) == "gone"

        async def is_sound() -> bool:
            return not await complaints(cloud) and not history.complaints()

        await until(is_sound, within=1)
        assert {said.event.name for said in history.news} >= {EventName.VIF_PLUGGED, EventName.VIF_DELETED}


async def test_a_lost_event_is_found() -> None:
    history = History()
    async with story(listening=history.watch) as cloud:
        server = await _running(cloud)
        port = await cloud.port(server)
        await cloud.services["network"].slot.stop()
        session = cloud.plane.session("network")
        await session.json("PUT", f"/v2.0/ports/{port['id']}", {"port": {"admin_state_up": False}})
        assert f"network-vif-unplugged of {port['id']} waits in the outbox" in await complaints(cloud)
        await _forget_news(cloud)
        cloud.services["network"].slot.start()
        await asyncio.sleep(5)
        [lost] = history.complaints()
        assert lost.startswith(f"lost: network-vif-unplugged of port {port['id']}")


def _event(name: EventName = EventName.VIF_PLUGGED) -> ExternalEvent:
    return ExternalEvent(name, NOBODY, PORT)


async def test_news_is_accounted_for_by_its_delivery_its_death_with_a_reason_or_newer_news() -> None:
    port = new_port(id=PORT, device_owner="compute:nova", device_id=NOBODY)
    for settle in ("delivered", "dead", "overtaken"):
        history = History()
        history.changed(port, None)
        [said] = history.news
        assert len(history.complaints()) == 1
        match settle:
            case "delivered":
                history.told([said.event], Answer(207, (404,)))
                assert len(history.complaints()) == 1
                history.told([said.event], Answer(200, (200,)))
            case "dead":
                item = OutboxItem(1, said.event, NOW)
                history.settled([Judgement(Verdict.DEAD, item)])
                assert len(history.complaints()) == 1, "without a reason"
                history.settled([Judgement(Verdict.DEAD, item, "nobody needs it")])
            case "overtaken":
                history.changed(port, None)
                assert len(history.complaints()) == 1, "the newer is to be told"
                history.told([said.event], Answer(200, (200,)))
        assert history.complaints() == [], settle


async def test_what_was_delivered_before_it_became_true_does_not_count() -> None:
    history = History()
    history.told([_event(EventName.VIF_DELETED)], Answer(200, (200,)))
    await asyncio.sleep(1)
    history.changed(new_port(id=PORT, device_owner="compute:nova", device_id=NOBODY), None)
    assert len(history.complaints()) == 1


async def test_an_address_that_two_ports_have_is_found() -> None:
    def port(id: str, *addresses: str) -> Port:
        return new_port(id=id, fixed_ips=tuple(FixedIp(SubnetId("s"), address) for address in addresses))

    history = History()
    history.changed(None, port("a", "10.0.0.3"))
    history.changed(None, port("b", "10.0.0.4"))
    history.changed(port("b", "10.0.0.4"), port("b", "10.0.0.4", "10.0.0.5"))
    history.changed(port("a", "10.0.0.3"), None)
    history.changed(None, port("c", "10.0.0.3"))
    assert history.doubles == []
    history.changed(None, port("d", "10.0.0.5"))
    assert history.doubles == ["10.0.0.5 was given to port d, and port b has it"]


async def test_what_is_left_of_nobody_is_found_wherever_it_is() -> None:
    async with story() as cloud:
        await _running(cloud)
        await cloud.host.slot.stop()  # or it would clear it away
        await cloud.host.agent.stop()
        world = cloud.world
        await world.switch.plug(Vif(PORT, NOBODY, "fa:16:3e:00:00:01", "tapx", Generation("g")))
        await world.hypervisor.create_stopped(Guest(NOBODY, "x", 1, 1, 1, GuestImage(), ()))
        await world.switch.add_service_port(PortId("s"), "taps", "fa:16:3e:00:00:02", 9, NetworkId("n"))
        session = cloud.plane.session("network")
        made = {"network_id": cloud.network_id, "device_id": NOBODY, "device_owner": "compute:nova"}
        port = (await session.json("POST", "/v2.0/ports", {"port": made}))["port"]["id"]
        assert sorted(await complaints(cloud)) == sorted(
            [
                f"guest {NOBODY} is left on host-1",
                f"VIF {PORT} is left on host-1",
                "service port s is left on host-1",
                f"port {port} is DOWN, of server {NOBODY}, which is gone",
            ]
        )


async def test_a_live_server_that_lacks_something_is_found() -> None:
    async with story() as cloud:
        server = await _running(cloud)
        port = PortId((await cloud.port(server))["id"])
        await cloud.host.slot.stop()
        await cloud.host.agent.stop()
        await cloud.world.switch.unplug(port)
        assert any("has on the switch: None, None" in line for line in await complaints(cloud))
        cloud.world.dhcp.dies(NetworkId(cloud.network_id))
        assert any("has no reservation" in line for line in await complaints(cloud))
        await cloud.world.hypervisor.power_off(server)
        assert any("has guests" in line for line in await complaints(cloud))


async def test_a_server_that_is_busy_or_failed_without_a_word_is_found() -> None:
    async with story() as cloud:
        server = await _running(cloud)
        await cloud.host.slot.stop()
        await cloud.host.agent.stop()
        store = cloud.seams["the server store"]
        await store.update(server, lambda row: replace(row, life=replace(row.life, vm=VmState.ERROR)))
        assert any("has no fault" in line for line in await complaints(cloud))
        await cloud.delete(server)
        assert any("has work under way: deleting" in line for line in await complaints(cloud))
