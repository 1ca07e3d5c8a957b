"""What a project and a user may have: the cloud's own figures, and those that an admin has set for one project."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from moorage.domain.errors import Exhausted
from moorage.seams.server_store import Quota

# What Nova has limits for and nothing here is counted by: kept and shown.
UNCOUNTED: Mapping[str, int] = {
    "server_groups": 0,
    "server_group_members": 0,
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_groups": -1,
    "security_group_rules": -1,
    "injected_files": 0,
    "injected_file_content_bytes": 0,
    "injected_file_path_bytes": 0,
}


@dataclass(frozen=True)
class Limits:
    """-1 is no limit."""

    quota: Quota = field(default_factory=Quota)
    metadata_items: int = 128
    key_pairs: int = 100
    uncounted: Mapping[str, int] = field(default_factory=lambda: UNCOUNTED)

    def by_name(self) -> Mapping[str, int]:
        """By the names of the Compute API's quota sets."""
        return {
            "instances": self.quota.instances,
            "cores": self.quota.vcpus,
            "ram": self.quota.memory_mib,
            "key_pairs": self.key_pairs,
            "metadata_items": self.metadata_items,
            **self.uncounted,
        }

    def with_own(self, own: Mapping[str, int]) -> "Limits":
        """The limits of a project for which an admin has set `own`, by name."""
        if not own:
            return self
        now = {**self.by_name(), **own}
        return replace(
            self,
            quota=Quota(now["instances"], now["cores"], now["ram"]),
            metadata_items=now["metadata_items"],
            key_pairs=now["key_pairs"],
            uncounted={name: now[name] for name in self.uncounted},
        )

    def require_metadata(self, metadata: Mapping[str, str]) -> None:
        """Raises Exhausted for more items than a server may have."""
        if 0 <= self.metadata_items < len(metadata):
            raise Exhausted(f"Maximum number of metadata items exceeds {self.metadata_items}")
