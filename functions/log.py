"""One JSON line an event, on standard output, which Lambda hands to CloudWatch Logs."""

import json
import sys


def log(event: str, **fields: object) -> None:
    """Writes what happened and to whom; never a secret."""
    sys.stdout.write(json.dumps({"event": event, **fields}, default=str) + "\n")
    sys.stdout.flush()
