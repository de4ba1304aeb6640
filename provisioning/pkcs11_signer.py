"""A signer whose key was made in a hardware security module and cannot leave it (PKCS#11)."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from pkcs11 import Attribute, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters

from provisioning.algorithm import Algorithm, KeyType, PublicKey
from provisioning.errors import RefusedError, StationError
from provisioning.hsm import Hsm
from provisioning.pkcs11_token import LOST, open_session, reset, told

_CURVES: Mapping[KeyType, str] = {KeyType.P256: "secp256r1", KeyType.P384: "secp384r1"}
_RSA_BITS = 2048
_KEPT_INSIDE: Mapping[Attribute, bool] = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.DERIVE: False,
    Attribute.UNWRAP: False,
}
"""What a signing key is told when it is made."""
_ALWAYS_INSIDE: Mapping[Attribute, bool] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.LOCAL: True,
}
"""What shows that it was made there and never left (PKCS#11 v3.0, table 25)."""

_T = TypeVar("_T")


@dataclass
class Pkcs11Signer:
    """Signs with the key `label`. A lost session is opened anew once; what still fails is told."""

    _hsm: Hsm
    label: str
    _public_key: PublicKey
    _private_key: Any
    """A handle in a session of this process: not the key."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __repr__(self) -> str:
        return f"Pkcs11Signer({self._hsm.token}, {self.label})"

    @classmethod
    def of(cls, hsm: Hsm, label: str) -> Self:
        """The signer of a key in the token; `StationError` when it is not there, or not kept as it must be."""
        session = open_session(hsm)
        with told(hsm):
            private = _only(session, ObjectClass.PRIVATE_KEY, label, hsm)
            public_key = _public_key(_only(session, ObjectClass.PUBLIC_KEY, label, hsm), label)
            _check_kept_inside(private, label, hsm)
        return cls(hsm, label, public_key, private)

    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`. For ECDSA only the digest goes to the token."""
        algorithm = Algorithm.of(self._public_key)
        mechanism = Mechanism[algorithm.facts.pkcs11_mechanism.removeprefix("CKM_")]
        is_ecdsa = mechanism is Mechanism.ECDSA
        data = algorithm.digest(message) if is_ecdsa else message

        def signature() -> bytes:
            return bytes(self._private_key.sign(data, mechanism=mechanism))

        with self._lock:
            raw = self._with_a_session(signature)
        return encode_ecdsa_signature(raw) if is_ecdsa else raw

    def _with_a_session(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except LOST:
            reset(self._hsm)
            session = open_session(self._hsm)
            with told(self._hsm):
                self._private_key = _only(session, ObjectClass.PRIVATE_KEY, self.label, self._hsm)
                return work()
        except pkcs11.PKCS11Error:
            with told(self._hsm):
                raise


def make_or_find_key(hsm: Hsm, label: str, key_type: KeyType) -> Pkcs11Signer:
    """The signer of the key `label`, made in the token if there is none; a key that stands is never replaced."""
    session = open_session(hsm, writes=True)
    with told(hsm):
        if not list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label})):
            _generate(session, label, key_type)
        session.close()
    signer = Pkcs11Signer.of(hsm, label)
    found = KeyType.of(signer.public_key())
    if found is not key_type:
        raise RefusedError(
            f"token {hsm.token}: key {label} is of type {found}, and {key_type} is wanted; name the new one anew"
        )
    return signer


def _generate(session: pkcs11.Session, label: str, key_type: KeyType) -> None:
    public = {Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.VERIFY: True}
    made: dict[str, Any] = {
        "store": True,
        "label": label,
        "id": label.encode(),
        "public_template": public,
        "private_template": dict(_KEPT_INSIDE),
    }
    if key_type in _CURVES:
        parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[key_type])}
        session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True).generate_keypair(**made)
    else:
        session.generate_keypair(pkcs11.KeyType.RSA, _RSA_BITS, **made)


def _only(session: pkcs11.Session, kind: ObjectClass, label: str, hsm: Hsm) -> Any:
    found = list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))
    if len(found) != 1:
        raise StationError(
            f"token {hsm.token}: has {len(found)} {kind.name.lower().replace('_', ' ')}s called {label}, not one; plug "
            f"in the token that this authority was made on, or hold the ceremony for a new authority"
        )
    return found[0]


def _check_kept_inside(key: Any, label: str, hsm: Hsm) -> None:
    kept = key.get_attributes(list(_ALWAYS_INSIDE))
    broken = [name.name for name, value in _ALWAYS_INSIDE.items() if kept.get(name) is not value]
    if broken:
        raise RefusedError(
            f"token {hsm.token}: key {label} may have been outside the token ({', '.join(broken)}); an authority's key "
            f"is made inside: hold the ceremony for a new one"
        )


def _public_key(key: Any, label: str) -> PublicKey:
    if key.key_type is pkcs11.KeyType.EC:
        loaded = serialization.load_der_public_key(encode_ec_public_key(key))
        if isinstance(loaded, ec.EllipticCurvePublicKey) and KeyType.of(loaded) is not None:
            return loaded
    elif key.key_type is pkcs11.KeyType.RSA:
        exponent, modulus = (int.from_bytes(key[name]) for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS))
        made: rsa.RSAPublicKey = RSAPublicNumbers(exponent, modulus).public_key()
        if KeyType.of(made) is not None:
            return made
    raise RefusedError(f"key {label}: is none of {', '.join(KeyType)}; make one of these")
