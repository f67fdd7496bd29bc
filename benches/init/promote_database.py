"""The step `promote-database` in Python with boto3, as far as the benchmark goes: its clients, and how it refuses an input. It
promotes nothing."""

import boto3
from botocore.config import Config

FIELDS = ("recovery", "way", "database", "here", "other")


class InvalidInput(Exception):
    pass


# The clients and time limits of `functions/promote-database` and `shared/src/aws.rs`, in seconds.
LIMITS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
rds = boto3.client("rds", config=LIMITS)
records = boto3.client("dynamodb", config=LIMITS)


def handler(event, _context):
    refusal = refusal_of(event)
    if refusal:
        raise InvalidInput(f"promote-database does not accept its input: {refusal}")
    raise NotImplementedError("this is a benchmark of the start; deploy functions/promote-database")


def refusal_of(event):
    if not isinstance(event, dict):
        return f"{event!r} is not an object"
    unknown = [name for name in event if name not in FIELDS]
    missing = [name for name in FIELDS if name not in event]
    if unknown:
        return f"unknown field `{unknown[0]}`"
    if missing:
        return f"missing field `{missing[0]}`"
    return None
