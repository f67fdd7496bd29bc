"""What is played."""

import json
import threading
import time

from account import Account
from people import People


class Life:
    """What the platform and RDS leave behind while they live: word of the heartbeat, the lag of replication."""

    def __init__(self, account):
        self.account = account
        self.stopped = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        account = self.account
        regions = (account.here, account.other)
        tables = {region: account.client("dynamodb", region) for region in regions}
        metrics = {region: account.client("cloudwatch", region) for region in regions}
        minute = None
        while not self.stopped.wait(1):
            seen = account.order("look")
            for left in seen["heartbeats"]:
                item = {name: {"S": text} for name, text in left["item"].items()}
                tables[left["region"]].put_item(TableName="radiant-recoveries", Item=item)
            if minute != seen["now"][:16]:
                minute = seen["now"][:16]
                for lag in seen["lags"]:
                    if lag["milliseconds"] is not None:
                        datum = {
                            "MetricName": "AuroraGlobalDBRPOLag",
                            "Dimensions": [{"Name": "DBClusterIdentifier", "Value": lag["cluster"]}],
                            "Value": lag["milliseconds"],
                        }
                        metrics[lag["region"]].put_metric_data(Namespace="AWS/RDS", MetricData=[datum])


def alarm_event(account):
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
    name = "radiant-unhealthy-from-outside"
    arn = f"arn:aws:cloudwatch:{account.here}:{account.account}:alarm:{name}"
    detail = {
        "alarmName": name,
        "state": {"value": "ALARM", "reason": "the probe's alarm", "timestamp": now},
        "previousState": {"value": "OK", "reason": "it was served", "timestamp": now},
        "configuration": {"alarmRule": f"ALARM({name}-probe)"},
    }
    return {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [arn],
        "Detail": json.dumps(detail),
    }


def play(work, programs, names):
    account = Account(work, programs)
    account.start()
    account.platform()
    began = time.monotonic()
    account.stack()
    print(f"deployed in {time.monotonic() - began:.1f} s", flush=True)
    life = Life(account)
    people = People(account, account.here, ["approve", "approve"])
    time.sleep(30)
    account.order("take-away", region=account.other, what="whole")
    account.order("event", region=account.here, entry=alarm_event(account))
    sfn = account.client("stepfunctions", account.here)
    machine = f"arn:aws:states:{account.here}:{account.account}:stateMachine:radiant-recovery"
    until = time.monotonic() + 400
    while time.monotonic() < until:
        executions = sfn.list_executions(stateMachineArn=machine)["executions"]
        if executions and executions[0]["status"] != "RUNNING":
            break
        time.sleep(2)
    for execution in executions:
        told = sfn.describe_execution(executionArn=execution["executionArn"])
        print(execution["name"], execution["status"], told.get("error"), (told.get("cause") or told.get("output") or "")[:1500])
    for message in people.heard:
        print("#", message["subject"], "\n", message["text"])
    print(people.answered)
    life.stopped.set()
    keep(account)
    return 0


def keep(account):
    """Keeps what the emulator has of executions and logs, beside the journal."""
    sfn, logs = account.client("stepfunctions", account.here), account.client("logs", account.here)
    for machine in sfn.list_state_machines()["stateMachines"]:
        for execution in sfn.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            pages = sfn.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
            events = [event for page in pages for event in page["events"]]
            file = account.work / f"{machine['name']}-{execution['name'][-12:]}.json"
            file.write_text(json.dumps(events, indent=1, default=str))
    for group in logs.describe_log_groups()["logGroups"]:
        lines = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        if lines:
            name = group["logGroupName"].rsplit("/")[-1]
            (account.work / f"{name}.log").write_text("\n".join(line["message"] for line in lines))
