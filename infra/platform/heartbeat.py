"""The platform's heartbeat, as a Lambda function of the platform: once a minute a schedule calls it, and it beats every five seconds.

Each beat is a row in the database of its own Region and, once that is committed, a word of it in the table of records of the other
Region. From the two follows how much a lost Region takes with it. Deploy it in both Regions, as one of the functions in the plan: where
the platform stands by, the fence keeps it from running. Its role needs `rds-data:ExecuteStatement`, the secret, and the policy
`<Prefix>heartbeat-<other Region>`, which allows this one item and nothing else.

Variables: DB_CLUSTER_ARN, DB_SECRET_ARN, DB_NAME, HEARTBEAT_SCHEMA, WORKLOAD (as in the plan), TABLE, OTHER_REGION; AWS_REGION is Lambda's.
"""

import os
import time
from datetime import datetime, timezone

EVERY_SECONDS = 5
BEATS = 11  # less than a minute of them, so that one invocation ends before the next begins
KEPT_MS = 24 * 3600 * 1000


def word(workload, region, written_ms):
    """The item by which `region` leaves word of a beat that was committed there."""
    at = datetime.fromtimestamp(written_ms / 1000, timezone.utc)
    return {
        "pk": {"S": f"heartbeat#{workload}"},
        "sk": {"S": region},
        "committed_at": {"S": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")},
    }


def beat(database, table, environment, now_ms):
    """One beat. The word waits for the database: what was not committed must not be told."""

    def execute(sql):
        database.execute_statement(
            resourceArn=environment["DB_CLUSTER_ARN"],
            secretArn=environment["DB_SECRET_ARN"],
            database=environment["DB_NAME"],
            sql=sql,
            parameters=[{"name": "at", "value": {"longValue": now_ms}}],
        )

    heartbeat = f"{environment['HEARTBEAT_SCHEMA']}.heartbeat"
    execute(f"INSERT INTO {heartbeat} (written_ms) VALUES (:at) ON CONFLICT DO NOTHING")
    item = word(environment["WORKLOAD"], environment["AWS_REGION"], now_ms)
    try:
        table.put_item(TableName=environment["TABLE"], Item=item)
    except Exception as error:  # The platform does not stop because the other Region is away.
        print(f"the word was not left in {environment['OTHER_REGION']}: {error}")
    if now_ms // 1000 % 3600 < EVERY_SECONDS:
        execute(f"DELETE FROM {heartbeat} WHERE written_ms < :at - {KEPT_MS}")


def handler(_event, _context):
    import boto3
    from botocore.config import Config

    # One try of two seconds: the next beat says more than a late one.
    soon = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    database = boto3.client("rds-data", config=soon)
    table = boto3.client("dynamodb", region_name=os.environ["OTHER_REGION"], config=soon)
    began = time.monotonic()
    for count in range(BEATS):
        time.sleep(max(0.0, began + count * EVERY_SECONDS - time.monotonic()))
        beat(database, table, os.environ, time.time_ns() // 1_000_000)
