"""The key that signs tokens."""

from pathlib import Path

from moorage.adapters.files.private_key import load_or_make_private_key


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    first = load_or_make_private_key(path)
    assert first.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert load_or_make_private_key(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
