"""What the registrar may do: read the manifest, and finish the registration of a certificate that stands in it.

Resource types are those of the AWS Service Authorization Reference for AWS IoT. AttachPolicy is authorized on the
target (the certificate), not on the policy. AttachThingPrincipal and ListThingPrincipals have no resource type, so AWS
takes only `*` for them.
"""

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Document, allow, document


def registrar_policy(
    *, function: str, table_arn: str, dead_letter_queue_arn: str, region: str, account_id: str
) -> Document:
    """The registrar's whole permission in one cluster region. It reads one item at a time, and deletes nothing."""
    certificates = [f"arn:{arns.PARTITION}:iot:{region}:{account_id}:cert/*"]
    things = [f"arn:{arns.PARTITION}:iot:{region}:{account_id}:thing/*"]
    models = [f"arn:{arns.PARTITION}:iot:{region}:{account_id}:thingtype/*"]
    return document(
        allow("ReadManifest", ["dynamodb:GetItem"], [table_arn]),
        allow("AdmitCertificate", ["iot:DescribeCertificate", "iot:UpdateCertificate"], certificates),
        allow("AttachDevicePolicy", ["iot:AttachPolicy"], certificates),
        allow("MakeThing", ["iot:CreateThing", "iot:DescribeThing"], things),
        allow("KnowModels", ["iot:DescribeThingType"], models),
        allow("AttachThing", ["iot:AttachThingPrincipal", "iot:ListThingPrincipals"], ["*"]),
        allow("SendDeadLetters", ["sqs:SendMessage"], [dead_letter_queue_arn]),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )
