"""Python's garbage collector, once a process has started."""

import gc


def calm_collector() -> None:
    """What start-up made lives as long as we do: without looking at it, the garbage collector's pauses (8 ms in the
    middle of a boot) shrink to nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
