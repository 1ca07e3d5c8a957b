"""Public keys, as callers send them: read, and given the fingerprint that clients print."""

import base64
import binascii
import hashlib
import re

from moorage.domain.errors import Invalid

BAD = "Keypair data is invalid: "
KEY_TYPE = re.compile(r"[a-z][a-z0-9@.-]+")


def require_name(name: str, minor: int) -> None:
    """Raises Invalid for a key's name with signs that are not allowed."""
    pattern = r"[a-zA-Z0-9 _@.-]{1,255}" if minor >= 92 else r"[a-zA-Z0-9 _-]{1,255}"
    if not re.fullmatch(pattern, name) or name != name.strip():
        raise Invalid(BAD + "Keypair name contains unsafe characters")


def fingerprint(kind: str, public_key: str) -> str:
    """Of an SSH key its MD5, of a certificate its SHA-1, with colons. Raises Invalid for what is neither."""
    if kind == "x509":
        return _colons(hashlib.sha1(_certificate(public_key), usedforsecurity=False).hexdigest())
    return _colons(hashlib.md5(_ssh_blob(public_key), usedforsecurity=False).hexdigest())


def _ssh_blob(public_key: str) -> bytes:
    parts = public_key.split()
    if len(parts) < 2 or not KEY_TYPE.fullmatch(parts[0]):
        raise Invalid(BAD + "it is no SSH public key")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(BAD + "it is no SSH public key") from error
    name = parts[0].encode()
    if blob[:4] != len(name).to_bytes(4, "big") or blob[4 : 4 + len(name)] != name:
        raise Invalid(BAD + f"it does not hold a key of the type {parts[0]}")
    return blob


def _certificate(public_key: str) -> bytes:
    found = re.search(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", public_key, re.DOTALL)
    if found is None:
        raise Invalid(BAD + "it is no certificate")
    try:
        return base64.b64decode("".join(found[1].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(BAD + "it is no certificate") from error


def _colons(digits: str) -> str:
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2))
