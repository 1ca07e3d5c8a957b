"""Certificates of tests' own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it has signed; and one that nobody knows."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def shown_by(self, name: str | None, trusted: str) -> dict[str, Path]:
        """The files of a client that trusts this authority, and shows this certificate, or none."""
        own = {} if name is None else {"cert_file": self.path(name), "key_file": self.path(f"{name}-key")}
        return {"ca_file": self.path(trusted), **own}

    def make_authority(self, name: str) -> None:
        self._openssl("req", "-x509", "-nodes", "-subj", f"/CN={name}", *self._new_key(name), "-out", self.path(name))

    def sign(self, name: str, by: str, *, for_host: str) -> None:
        authority = ("-CA", self.path(by), "-CAkey", self.path(f"{by}-key"))
        extension = ("-addext", f"subjectAltName=DNS:{for_host}")
        self._openssl(
            *("req", "-x509", "-nodes", "-subj", f"/CN={name}", *authority, *extension),
            *(*self._new_key(name), "-out", self.path(name)),
        )

    def _new_key(self, name: str) -> tuple[object, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", self.path(f"{name}-key"))

    @staticmethod
    def _openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
