"""The ten hops as lines with bars: when each happened, and how much of the boot it took."""

from collections.abc import Sequence

from moorage.app.results import HopTime
from moorage.cli.output import NONE
from moorage.domain.hops import Crossing, Hop

WIDTH = 24  # characters, of a bar that takes the whole boot
_EIGHTHS = "▏▎▍▌▋▊▉█"


def hop_lines(hops: Sequence[HopTime], held_ms: float | None = None) -> list[str]:
    """One line a hop, in the words' order; its bar is the time since whatever hop came before it."""
    times = sorted(time.ms for time in hops if time.ms is not None)
    total = times[-1] if times else 0.0
    lines = []
    for time in hops:
        if time.ms is None:
            lines.append(f"  {time.hop.value:<8}{NONE:>8}")
            continue
        before = max((ms for ms in times if ms < time.ms), default=0.0)
        line = f"  {time.hop.value:<8}{time.ms:>8.1f} ms {bar(time.ms - before, total)}"
        if time.bus is not None:
            line += f" {way(time.bus)}"
        if time.hop is Hop.RUNNING and held_ms is not None:
            line += f" held for {held_ms:.1f} ms{_until(hops)}"
        lines.append(line)
    return lines


def way(bus: Crossing) -> str:
    """How a message went: its queue is mostly named as its key."""
    key = bus.routing_key if bus.routing_key == bus.queue else f"{bus.routing_key} → {bus.queue}"
    return f"by {bus.exchange} → {key}"


def bar(part: float, total: float, width: int = WIDTH) -> str:
    """A bar of `width` characters for the whole, in eighths of a character; never empty."""
    eighths = max(round(part / total * width * 8), 1) if total > 0 else 1
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


def _until(hops: Sequence[HopTime]) -> str:
    """Why it was let go: only a port that was ready before the guest ran has been waited for."""
    at = {time.hop: time.ms for time in hops}
    ready, running = at.get(Hop.READY), at.get(Hop.RUNNING)
    is_proven = ready is not None and running is not None and ready <= running
    return ", until its port was proven ready" if is_proven else ""
