"""The hardware model behind a certificate, as the factory's manifest lists it.

A certificate's model never changes, so what was read once is kept for the life of the process.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from protocol.admission import MANIFEST_KEY, MANIFEST_MODEL

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_A_REQUEST = 100  # DynamoDB, BatchGetItem
ASKED_AGAIN = 5
"""Times that keys DynamoDB put off are asked for; then Lambda tries the whole event again."""
MOST_KEPT = 200_000
"""Certificates kept at once, about 30 MB; beyond it everything is forgotten, and asked again as it comes."""


class ManifestBusyError(Exception):
    """DynamoDB put keys off again and again."""


class Models:
    """Certificate to model, asked of the table once each."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb, self._table = dynamodb, table
        self._known: dict[str, str] = {}

    def find(self, certificates: Iterable[str]) -> Mapping[str, str]:
        """The model of every certificate the manifest lists; the others are left out, and asked again another time."""
        wanted = sorted(set(certificates))
        missing = [certificate for certificate in wanted if certificate not in self._known]
        if len(self._known) + len(missing) > MOST_KEPT:
            self._known.clear()
            missing = wanted
        for start in range(0, len(missing), KEYS_A_REQUEST):
            self._known |= self._ask(missing[start : start + KEYS_A_REQUEST])
        return {certificate: self._known[certificate] for certificate in wanted if certificate in self._known}

    def _ask(self, certificates: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        request: Any = {
            self._table: {
                "Keys": [{MANIFEST_KEY: {"S": certificate}} for certificate in certificates],
                "ProjectionExpression": f"{MANIFEST_KEY}, {MANIFEST_MODEL}",
            }
        }
        for _ in range(ASKED_AGAIN):
            answer = self._dynamodb.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(self._table, []):
                found[str(item[MANIFEST_KEY]["S"])] = str(item[MANIFEST_MODEL]["S"])
            request = answer.get("UnprocessedKeys")
            if not request:
                return found
        raise ManifestBusyError(f"{self._table} put off {len(certificates)} certificates {ASKED_AGAIN} times")
