"""The bare handshake on a real Open vSwitch: its rounds begin when the switch has nothing left to do."""

import asyncio

from tests.contract.ovs_rig import an_ovs

from moorage.adapters.ovsdb.floor import Floor


async def test_a_switch_has_settled_when_it_has_done_what_it_was_told() -> None:
    with an_ovs() as rig:
        async with rig.connected() as switch, asyncio.TaskGroup() as group:
            await switch.check()
            floor = Floor(rig.rundir)
            running = group.create_task(floor.run())
            rig.inside("ip", "tuntap", "add", "dev", "fl-one", "mode", "tap")
            assert await floor.round("fl-one", _nothing) > 0
            rig.hold_switch()  # the port is away in the database, and nobody takes it away
            settled = group.create_task(floor.settled())
            await asyncio.sleep(0.3)
            assert not settled.done()
            rig.release_switch()
            async with asyncio.timeout(5):
                await settled
            assert "fl-one" not in rig.inside("ovs-ofctl", "-O", "OpenFlow13", "show", "br-int")
            running.cancel()


async def _nothing() -> None:
    """No durable commit here."""
