"""The embedded cloud runs schedules in real time, and a test wants to be the only one who sweeps."""

import boto3

from local.aws_environment import aws_environment
from local.deployment import Deployment

SWEEP = "flotilla-{environment}-route-sweep"


def stop_sweeping(deployment: Deployment) -> None:
    """Stop the schedule of the sweep; the function stays, and a test invokes it when it wants."""
    variables = aws_environment(deployment.record)
    events = boto3.client(
        "events",
        region_name=deployment.outputs.home_region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    events.disable_rule(Name=SWEEP.format(environment=deployment.outputs.environment))
