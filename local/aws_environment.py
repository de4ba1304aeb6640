"""The environment variables with which any AWS tool talks to a desk instead of AWS."""

from collections.abc import Mapping

from local.account import ACCOUNT, SECRET_ACCESS_KEY
from local.desk import DeskRecord


def aws_environment(record: DeskRecord) -> Mapping[str, str]:
    """Variable to value: endpoint, credentials (of the embedded account, no secret) and the home region."""
    return {
        "AWS_ENDPOINT_URL": record.aws_endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_REGION": record.home_region,
        "AWS_DEFAULT_REGION": record.home_region,
    }
