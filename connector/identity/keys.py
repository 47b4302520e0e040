"""The connector's own signing keys: a folder of private keys, one file each, readable by the owner only.

A key is a JWK (`KID.jwk`) or an operator's PEM (`NAME.pem`); its id is the RFC 7638 thumbprint. Two JWK members carry its
life: `nbf`, from when it signs, and `exp`, until when it verifies. The key that signs is the one with the latest `nbf` that
has come; so a rotation is two file writes, each of which leaves a valid folder. A running process sees a changed folder at
its next signature; a folder that cannot be read leaves the keys as they are, and `problem` says what is wrong with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from connector.errors import OperatorError

Algorithm = Literal["ES256", "EdDSA"]
Foreign = Literal["RS256"]  # only verified, never signed: what most authorization servers use

ALGORITHMS: Mapping[tuple[str, str], Algorithm] = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
CURVES = {algorithm: curve for curve, algorithm in ALGORITHMS.items()}
BEGINNING = datetime.fromtimestamp(0, UTC)


class Unusable(Exception):
    """Something is not a key that may be used here; the text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, private or public. `signs_from` orders our own keys; `valid_until` None is for ever."""

    jwk: JWK = field(repr=False, compare=False)
    kid: str
    algorithm: Algorithm | Foreign
    signs_from: datetime = BEGINNING
    valid_until: datetime | None = None

    @classmethod
    def of(cls, jwk: JWK, signs_from: datetime = BEGINNING, valid_until: datetime | None = None) -> Self:
        """Return the key for a JWK. Raises Unusable for a type that signs nothing here."""
        public: dict[str, Any] = {} if jwk.is_symmetric else jwk.export_public(as_dict=True)
        algorithm = ALGORITHMS.get((public.get("kty", ""), public.get("crv", "")))
        if algorithm is None:
            raise Unusable("not an EC P-256 or Ed25519 key; only these (ES256, EdDSA) are used")
        if public.get("alg", algorithm) != algorithm or public.get("use", "sig") != "sig":
            raise Unusable(f"its alg or use does not fit: this key signs with {algorithm}")
        return cls(jwk, str(jwk.thumbprint()), algorithm, signs_from, valid_until)

    def valid(self, now: datetime) -> bool:
        return self.valid_until is None or now < self.valid_until

    def public(self) -> dict[str, str]:
        """Return the public JWK: what a peer puts into its trust file."""
        members: dict[str, str] = self.jwk.export_public(as_dict=True)
        kept = {name: members[name] for name in ("kty", "crv", "x", "y") if name in members}
        return kept | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


class Keys:
    """The keys in a folder."""

    def __init__(self, folder: Path, keys: Iterable[Key], stamp: int) -> None:
        self.folder = folder
        self._keys = tuple(keys)
        self._stamp = stamp
        self.problem: OperatorError | None = None  # why the folder as it is now was not taken over

    def __repr__(self) -> str:
        return f"Keys({str(self.folder)!r}, {[key.kid for key in self._keys]})"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a key folder. Raises OperatorError that says what to do."""
        try:
            stamp = folder.stat().st_mtime_ns
            files = sorted(file for file in folder.iterdir() if file.suffix in (".jwk", ".pem"))
        except OSError as error:
            raise OperatorError(
                f"{folder}: cannot read the key folder ({error.strerror}); `connector init` makes one"
            ) from error
        if not files:
            raise OperatorError(f"{folder}: holds no key; make one with `connector keys rotate`")
        return cls(folder, map(_read, files), stamp)

    @classmethod
    def generate(cls, folder: Path, now: datetime, algorithm: Algorithm = "ES256") -> Self:
        """Make the folder, if need be, and a first key in it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder, _new(now, algorithm))
        return cls.load(folder)

    def rotate(self, overlap: timedelta, signs_from: datetime, algorithm: Algorithm = "ES256") -> Self:
        """Make a new key that signs from `signs_from`; the others stay valid for `overlap` after that.

        The new key is in `jwks` at once: a `signs_from` in the future gives partners time to learn it.
        """
        _write(self.folder, _new(signs_from, algorithm))
        end = signs_from + overlap
        for key in self._keys:
            if key.valid(end):
                _write(self.folder, replace(key, valid_until=end))
        return self.load(self.folder)

    def signing(self, now: datetime) -> Key:
        """Return the key to sign with."""
        self._refresh()
        ready = [key for key in self._keys if key.signs_from <= now and key.valid(now)]
        if not ready:
            raise OperatorError(f"{self.folder}: no key is valid now; make one with `connector keys rotate`")
        return max(ready, key=lambda key: key.signs_from)

    def find(self, kid: str, now: datetime) -> Key | None:
        """Return the key that may verify what says it was signed by `kid`."""
        self._refresh()
        return next((key for key in self._keys if key.kid == kid and key.valid(now)), None)

    def valid(self, now: datetime) -> tuple[Key, ...]:
        self._refresh()
        return tuple(key for key in self._keys if key.valid(now))

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK Set (RFC 7517, section 5)."""
        return {"keys": [key.public() for key in self.valid(now)]}

    def _refresh(self) -> None:
        try:
            if self.folder.stat().st_mtime_ns != self._stamp:
                fresh = self.load(self.folder)
                self._keys, self._stamp, self.problem = fresh._keys, fresh._stamp, None
        except OSError as error:
            self.problem = OperatorError(f"{self.folder}: cannot be read ({error.strerror})")
        except OperatorError as error:
            self.problem = error


def public_key(text: str | Mapping[str, Any]) -> Key:
    """Return a partner's public key from PEM text or JWK members. Raises Unusable, never with key material."""
    try:
        jwk = JWK.from_pem(text.encode()) if isinstance(text, str) else JWK(**text)
    except (JWException, ValueError, TypeError):
        raise Unusable("neither a PEM public key nor a JWK with kty, crv, x (and y)") from None
    if jwk.has_private:
        raise Unusable(
            "this is a private key: it belongs to its owner alone; write the public key here and replace the pair"
        )
    return Key.of(jwk)


def _new(signs_from: datetime, algorithm: Algorithm) -> Key:
    kty, crv = CURVES[algorithm]
    return Key.of(JWK.generate(kty=kty, crv=crv), signs_from)


def _read(file: Path) -> Key:
    try:
        if file.stat().st_mode & 0o077:
            raise OperatorError(
                f"{file}: others can read this private key; run `chmod 600 {file}` and consider the key known"
            )
        data = file.read_bytes()
        if file.suffix == ".pem":
            key = Key.of(JWK.from_pem(data))
        else:
            members = json.loads(data)
            begins, ends = members.pop("nbf", 0), members.pop("exp", None)
            key = Key.of(JWK(**members), _instant(begins), None if ends is None else _instant(ends))
    except OSError as error:
        raise OperatorError(f"{file}: cannot be read ({error.strerror})") from error
    except Unusable as error:
        raise OperatorError(f"{file}: {error}; replace it or move it away") from None
    except (JWException, ValueError, TypeError, AttributeError):  # whose texts may quote what they were given
        raise OperatorError(f"{file}: not a private key in JWK or PEM form; replace it or move it away") from None
    if not key.jwk.has_private:
        raise OperatorError(f"{file}: only a public key; partners' keys belong into the trust file")
    return key


def _write(folder: Path, key: Key) -> None:
    """Write a key so that at every moment there is either the whole old file or the whole new one."""
    members: dict[str, Any] = key.jwk.export(private_key=True, as_dict=True)
    members |= {"kid": key.kid, "alg": key.algorithm, "nbf": key.signs_from.timestamp()}
    if key.valid_until is not None:
        members["exp"] = int(key.valid_until.timestamp())
    scratch = folder / f".{key.kid}.{os.getpid()}"
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(members, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(folder / f"{key.kid}.jwk")
    for pem in folder.glob("*.pem"):  # the JWK beside it now says how long it lives
        if _read(pem).kid == key.kid:
            pem.unlink()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
