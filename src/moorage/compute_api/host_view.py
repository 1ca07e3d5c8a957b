"""How hosts look in the API at each microversion: as hypervisors, and as services."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from moorage.compute_api.view import Eye, Json
from moorage.seams.server_store import ComputeHost
from moorage.wire.times import bare


def service_view(host: ComputeHost, eye: Eye, now: datetime) -> Json:
    """The compute service of a host."""
    view: Json = {
        "id": host.uuid if eye.minor >= 53 else host.number,
        "binary": "nova-compute",
        "host": host.state.name,
        "zone": "nova",
        "status": "enabled" if host.state.is_enabled else "disabled",
        "state": "up" if host.state.is_alive(now) else "down",
        "updated_at": bare(host.state.heard_at),
        "disabled_reason": host.disabled_reason,
    }
    if eye.minor >= 11:
        view["forced_down"] = False
    return view


def hypervisor_summary(host: ComputeHost, eye: Eye, now: datetime) -> Json:
    return {
        "id": host.uuid if eye.minor >= 53 else host.number,
        "hypervisor_hostname": host.state.name,
        "state": "up" if host.state.is_alive(now) else "down",
        "status": "enabled" if host.state.is_enabled else "disabled",
    }


def hypervisor_view(host: ComputeHost, eye: Eye, now: datetime) -> Json:
    """A host with its figures (below 2.88), or with its uptime (from 2.88)."""
    state = host.state
    view = {
        **hypervisor_summary(host, eye, now),
        "hypervisor_type": host.hypervisor_type,
        "hypervisor_version": 1000000,
        "host_ip": "127.0.0.1",
        "service": {
            "id": host.uuid if eye.minor >= 53 else host.number,
            "host": state.name,
            "disabled_reason": host.disabled_reason,
        },
    }
    if eye.minor >= 88:
        return {**view, "uptime": uptime(host, now)}
    return {
        **view,
        "cpu_info": {} if eye.minor >= 28 else "{}",
        "vcpus": state.vcpus,
        "vcpus_used": state.used_vcpus,
        "memory_mb": state.memory_mib,
        "memory_mb_used": state.used_memory_mib,
        "free_ram_mb": state.memory_mib - state.used_memory_mib,
        "local_gb": state.disk_gib,
        "local_gb_used": state.used_disk_gib,
        "free_disk_gb": state.disk_gib - state.used_disk_gib,
        "disk_available_least": state.disk_gib - state.used_disk_gib,
        "current_workload": 0,
        "running_vms": host.servers,
    }


def uptime(host: ComputeHost, now: datetime) -> str:
    """In the manner of uptime(1), as clients print it."""
    seconds = max(0, int((now - host.started_at).total_seconds()))
    days, rest = divmod(seconds, 86400)
    hours, minutes = divmod(rest // 60, 60)
    return f" {now:%H:%M:%S} up {days} days, {hours:2d}:{minutes:02d},  0 users,  load average: 0.00, 0.00, 0.00"


def statistics(hosts: Sequence[ComputeHost]) -> Mapping[str, int]:
    """The sum over all hosts."""
    states = [host.state for host in hosts]
    figures = {
        "count": len(states),
        "vcpus": sum(state.vcpus for state in states),
        "vcpus_used": sum(state.used_vcpus for state in states),
        "memory_mb": sum(state.memory_mib for state in states),
        "memory_mb_used": sum(state.used_memory_mib for state in states),
        "local_gb": sum(state.disk_gib for state in states),
        "local_gb_used": sum(state.used_disk_gib for state in states),
        "current_workload": 0,
        "running_vms": sum(host.servers for host in hosts),
    }
    return {
        **figures,
        "free_ram_mb": figures["memory_mb"] - figures["memory_mb_used"],
        "free_disk_gb": figures["local_gb"] - figures["local_gb_used"],
        "disk_available_least": figures["local_gb"] - figures["local_gb_used"],
    }
