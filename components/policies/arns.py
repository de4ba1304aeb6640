"""ARNs from names, so that a policy can name a resource that is not made yet (AWS: Service Authorization Reference)."""

PARTITION = "aws"
"""The commercial regions. GovCloud and China are other partitions, with other endpoints and other accounts."""


def account_root(account_id: str) -> str:
    """The account itself: as a principal it means "whom the account's own IAM policies allow"."""
    return f"arn:{PARTITION}:iam::{account_id}:root"


def topic_rule(rule: str, *, region: str, account_id: str) -> str:
    """An IoT topic rule; `rule` may hold `*`."""
    return f"arn:{PARTITION}:iot:{region}:{account_id}:rule/{rule}"


def function(name: str, *, region: str, account_id: str) -> str:
    """A Lambda function."""
    return f"arn:{PARTITION}:lambda:{region}:{account_id}:function:{name}"


def log_group(name: str, *, region: str, account_id: str) -> str:
    """A CloudWatch log group and the streams in it."""
    return f"arn:{PARTITION}:logs:{region}:{account_id}:log-group:{name}:*"


def queue(name: str, *, region: str, account_id: str) -> str:
    """An SQS queue."""
    return f"arn:{PARTITION}:sqs:{region}:{account_id}:{name}"


def stream(name: str, *, region: str, account_id: str) -> str:
    """A Kinesis data stream."""
    return f"arn:{PARTITION}:kinesis:{region}:{account_id}:stream/{name}"


def table(name: str, *, region: str, account_id: str) -> str:
    """A DynamoDB table."""
    return f"arn:{PARTITION}:dynamodb:{region}:{account_id}:table/{name}"


def bucket(name: str) -> str:
    """An S3 bucket."""
    return f"arn:{PARTITION}:s3:::{name}"


def hosted_zone(zone_id: str) -> str:
    """A Route 53 hosted zone, which lives in no region and whose id says the account."""
    return f"arn:{PARTITION}:route53:::hostedzone/{zone_id}"


def objects(bucket_name: str, *, prefix: str = "") -> str:
    """The objects of a bucket whose keys begin with `prefix`."""
    return f"{bucket(bucket_name)}/{prefix}*"
