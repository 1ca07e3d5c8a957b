"""QEMU's words in a server's fault: the cause, and nothing of the host."""

import pytest

from moorage.adapters.qemu.last_words import for_its_owner


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            '-blockdev {"driver": "qcow2", "file": {"filename": "/state/hosts/host-1/a: {b}/disk.qcow2"}}: Could not '
            "open backing file: Image is not in qcow2 format",
            "Could not open backing file: Image is not in qcow2 format",
        ),
        ("could not open kernel file '/state/hosts/host-1/vmlinuz'", "could not open kernel file 'vmlinuz'"),
        ("-m 1: too little memory", "too little memory"),
        ("Could not open '/a b/one' over '/c/two': Is a directory", "Could not open 'one' over 'two': Is a directory"),
        ("", ""),
    ],
)
def test_qemus_words_tell_the_cause_but_no_folder_of_the_host(said: str, read: str) -> None:
    assert for_its_owner(said) == read
