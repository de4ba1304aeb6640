"""The AWS account of the desk, and the key that stands for it."""

ACCOUNT = "000000000000"
"""MiniStack takes a 12-digit access key as the account; this one is also where it puts what carries no key at all."""
SECRET_ACCESS_KEY = "desk"  # noqa: S105  # opens a cloud of this machine's loopback only
"""The cells are told it; they check it where it matters, in presigned URLs."""
