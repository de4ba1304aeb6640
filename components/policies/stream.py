"""Who fills the stream of batches, and who reads it."""

from components.policies.statement import Document, Statement, allow, document


def put_batches_policy(*, stream_arn: str) -> Document:
    """What the batch rule may do: put records into its stream (AWS IoT Developer Guide, rule action Kinesis)."""
    return document(allow("PutBatches", ["kinesis:PutRecord"], [stream_arn]))


def read_stream(stream_arn: str) -> Statement:
    """What Lambda needs to read a stream for a function, with the function's role.

    Without enhanced fan-out it subscribes to no shard (AWS Lambda Developer Guide, "Process Amazon Kinesis Data Streams
    records with Lambda").
    """
    reads = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
    return allow("ReadStream", [f"kinesis:{read}" for read in reads], [stream_arn])
