"""Clients of the cloud for day two: the factory's, and Route 53, which is asked once a call and no more."""

from typing import TYPE_CHECKING

from botocore.config import Config

from provisioning.cloud import CONFIG
from provisioning.cloud import Cloud as FactoryCloud

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_route53 import Route53Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ROUTE53_REGION = "us-east-1"
"""Route 53 is one for all regions; its requests are signed for this one (AWS General Reference, Route 53 endpoints)."""
ONCE = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=30,
)
"""Whoever changes a zone must know of every attempt: one whose answer was lost may have been carried out. Times in
seconds; a full batch of 1,000 records is answered well within the time to read."""


INVOKING = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=150,
)
"""Calls of the ingest function are harmless to repeat, and it may take two minutes over a large one."""


class Cloud(FactoryCloud):
    """Where clients come from: the standard environment variables and profiles of AWS."""

    def route53(self) -> "Route53Client":
        """The hosted zone; every call is one attempt."""
        return self.session.client("route53", region_name=ROUTE53_REGION, config=ONCE)

    def s3(self, region: str) -> "S3Client":
        """Lakes."""
        return self.session.client("s3", region_name=region, config=CONFIG)

    def sqs(self, region: str) -> "SQSClient":
        """Dead letters."""
        return self.session.client("sqs", region_name=region, config=CONFIG)

    def kinesis(self, region: str) -> "KinesisClient":
        """Streams of batches."""
        return self.session.client("kinesis", region_name=region, config=CONFIG)

    def functions(self, region: str) -> "LambdaClient":
        """Functions, to be called."""
        return self.session.client("lambda", region_name=region, config=INVOKING)
