"""Every IAM, IoT, KMS, S3, SQS and SNS policy document, as pure functions of names: no Pulumi, no client, no state.

One module a subject. Golden files of all of them stand in `tests/components/golden`.
"""
