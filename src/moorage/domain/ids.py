"""Distinct types for the ids that travel through a boot, so that mypy tells a port from a server."""

from typing import NewType

ServerId = NewType("ServerId", str)  # dashed UUID
PortId = NewType("PortId", str)  # dashed UUID
NetworkId = NewType("NetworkId", str)  # dashed UUID
SubnetId = NewType("SubnetId", str)  # dashed UUID
ImageId = NewType("ImageId", str)  # dashed UUID
FlavorId = NewType("FlavorId", str)  # any printable string
ProjectId = NewType("ProjectId", str)  # 32 hex digits
UserId = NewType("UserId", str)  # 32 hex digits
HostName = NewType("HostName", str)
Generation = NewType("Generation", str)  # minted once for each plug intent; 32 hex digits


def device_name(port: PortId) -> str:
    """The name of a port's device on its host: "tap" and the port id's first 11 characters, as Nova and Neutron do."""
    return "tap" + port[:11]
