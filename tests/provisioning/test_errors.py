"""Every failure names whose it is, once."""

import pytest

from provisioning.errors import RefusedError, StationError, about


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("q", "the request is none", "device q: the request is none"),
        ("q", "device q: the request is none", "device q: the request is none"),
        ("device1", "device device10 has this key", "device device1: device device10 has this key"),
        ("device1", "this key of device device1 was revoked", "this key of device device1 was revoked"),
        ("device1", "/boards/device1: holds another key", "/boards/device1: holds another key"),
        ("device1", "/boards/device1.old: holds a key", "device device1: /boards/device1.old: holds a key"),
    ],
)
def test_a_failure_names_its_device_once_whatever_the_device_is_called(name: str, said: str, told: str) -> None:
    with pytest.raises(RefusedError) as refused, about(name):
        raise RefusedError(said)
    assert str(refused.value) == told


def test_a_failure_of_a_batch_names_its_file_once() -> None:
    with pytest.raises(RefusedError) as refused, about("order.csv", kind="batch"):
        raise RefusedError("2 rows must change first\norder.csv:3: csr: is neither")
    assert str(refused.value).startswith("2 rows")
    told = r"batch order.csv: \[Errno 28\] full; check this machine"
    with pytest.raises(StationError, match=told), about("order.csv", kind="batch"):
        raise OSError(28, "full")
