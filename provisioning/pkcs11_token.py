"""Sessions with a token, and its errors in words: what a station does about each of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pkcs11
from pkcs11 import exceptions

from provisioning.errors import ProvisioningError, RefusedError, StationError
from provisioning.hsm import HSM_FILE, Hsm

LOST = (
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.UserNotLoggedIn,
    exceptions.ObjectHandleInvalid,
    exceptions.KeyHandleInvalid,
    exceptions.DeviceRemoved,
    exceptions.DeviceError,
    exceptions.TokenNotPresent,
)
"""A session that is gone, though the token may be back: worth one new session (PKCS#11 v3.0, section 5.1)."""

_SENTENCES: tuple[tuple[tuple[type[exceptions.PKCS11Error], ...], type[ProvisioningError], str], ...] = (
    (
        (exceptions.NoSuchToken, exceptions.TokenNotPresent, exceptions.DeviceRemoved),
        StationError,
        f"is not there; plug it in, or correct `token` in {HSM_FILE}",
    ),
    (
        (exceptions.MultipleTokensReturned,),
        StationError,
        "several tokens have this label; leave one plugged in, or give each its own label",
    ),
    (
        (exceptions.PinLocked,),
        StationError,
        "is locked after wrong PINs; its security officer must unlock it",
    ),
    ((exceptions.PinExpired,), StationError, "its PIN has expired; its security officer sets a new one"),
    (
        (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange),
        StationError,
        "the PIN is wrong; correct it before the token locks itself",
    ),
    ((exceptions.UserPinNotInitialized,), StationError, "has no user PIN yet; initialise the token first"),
    ((exceptions.SessionCount,), StationError, "has no session left; stop what else uses it"),
    (
        (exceptions.MechanismInvalid, exceptions.FunctionNotSupported, exceptions.DomainParamsInvalid),
        RefusedError,
        "cannot do this algorithm; choose one that it knows in the factory file",
    ),
)
"""Which errors, who must act, and what they are told."""


def open_session(hsm: Hsm, *, writes: bool = False) -> pkcs11.Session:
    """A session that is logged in."""
    with told(hsm):
        module = pkcs11.lib(str(hsm.module))
        token = module.get_token(token_label=hsm.token)
        try:
            return token.open(rw=writes, user_pin=hsm.pin())
        except exceptions.UserAlreadyLoggedIn:
            return token.open(rw=writes)  # this process is: another signer of it logged in before


def reset(hsm: Hsm) -> None:
    """Forget every session of this process with the module, and the slots it saw: a token that came back is new."""
    with told(hsm):
        pkcs11.lib(str(hsm.module)).reinitialize()


@contextmanager
def told(hsm: Hsm) -> Iterator[None]:
    """Turn a token's errors into ours, with who must act."""
    try:
        yield
    except exceptions.PKCS11Error as error:
        raise _in_words(hsm, error) from error
    except (RuntimeError, OSError) as error:
        raise StationError(f"{hsm.module}: is no PKCS#11 module that loads ({error}); install the HSM's own") from error


def _in_words(hsm: Hsm, error: exceptions.PKCS11Error) -> ProvisioningError:
    if type(error) is exceptions.PKCS11Error:  # the library's own: no token was asked yet
        return StationError(
            f"{hsm.module}: is no PKCS#11 module that loads; install the HSM's own, or correct {HSM_FILE}"
        )
    for kinds, kind, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return kind(f"token {hsm.token}: {sentence}")
    return StationError(
        f"token {hsm.token}: failed ({type(error).__name__}); try again, then see the log of the HSM itself"
    )
