"""What QEMU says when it gives up, as the owner of the guest may read it."""

import re

OPTION = re.compile(r"-[\w-]+ (\{.*\}|\S+): ")  # QEMU repeats the option that it could not fulfil, as we wrote it
FOLDERS = re.compile(r"'/[^']*/")


def for_its_owner(said: str) -> str:
    """QEMU's own words without the folders of this host, which name the host too; files keep their names."""
    return FOLDERS.sub("'", said[option.end() :] if (option := OPTION.match(said)) else said)
