"""The experiments by name, with the settings of the cloud that each runs in."""

from enum import StrEnum


class Experiment(StrEnum):
    NORMAL = "normal"
    AGENT_DOWN = "agent-down"
    AGENT_DOWN_FATAL = "agent-down-fatal"

    @property
    def is_fatal(self) -> bool:
        """What vif_plugging_is_fatal is set to."""
        return self is not Experiment.AGENT_DOWN

    @property
    def usual_timeout(self) -> float:
        """What vif_plugging_timeout is set to when nothing else is asked for; short where it will run out."""
        return 300.0 if self is Experiment.NORMAL else 5.0
