"""The dead letter queue: who reaches it, and the role by which topic rules do."""

from components.policies.statement import Document, allow, document
from components.policies.transport import deny_plaintext


def queue_policy(*, queue_arn: str) -> Document:
    """The policy of a queue: nothing without TLS. Who may send is said by the senders' roles."""
    return document(deny_plaintext("sqs:*", queue_arn))


def error_action_policy(*, queue_arn: str) -> Document:
    """What a topic rule's error action may do: send what failed to the dead letter queue."""
    return document(allow("SendDeadLetters", ["sqs:SendMessage"], [queue_arn]))
