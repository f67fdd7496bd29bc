"""What a scenario is played in: an account with everything deployed, the platform's life in it, and people."""

import collections
import contextlib
import json
import threading
import time

from account import PREFIX, ROOT, Account
from boto3.dynamodb.types import TypeSerializer
from people import People

RECOVERY = "radiant-recovery"
# What a recovery runs.
CHILDREN = [f"radiant-{file.name.split('.')[0]}" for file in sorted((ROOT / "statemachines").glob("*.asl.json"))]
CHILDREN.remove(RECOVERY)
# How long a recovery may take before it counts as hanging, in seconds of this machine's clock.
PATIENCE = 600


class World:
    """`scenario` is one of the modules in scenarios/."""

    def __init__(self, scenario, work, programs, by_hand=False):
        self.scenario, self.by_hand = scenario, by_hand
        plan = (ROOT / "radiant.plan.yaml").read_text()
        plan = getattr(scenario, "planned", lambda text: text)(plan)
        scale, seed = getattr(scenario, "SCALE", 0.25), getattr(scenario, "SEED", 7)
        self.account = Account(work, programs, plan, scenario.DISASTER, scale, seed)
        self.work = self.account.work
        self.here, self.other = self.account.here, self.account.other
        self.people, self.life, self.lost = {}, None, set()

    def begin(self):
        self.account.start()
        self.account.platform()
        began = time.monotonic()
        self.account.stack()
        self.say(f"deployed in {time.monotonic() - began:.1f} s")
        self.life = Life(self.account)
        for region in (self.here, self.other):
            self.people[region] = People(self.account, region, getattr(self.scenario, "ANSWERS", []), self.by_hand)
        # A lag of replication is published each minute, and the heartbeat is waited for.
        self.wait("a heartbeat and a lag", lambda: self.life.has_left)
        self.before = self.settings()

    def say(self, text):
        print(f"{self.scenario.NAME}: {text}", flush=True)

    def wait(self, what, holds, patience=PATIENCE):
        """What `holds` gives once that is something."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.life.error:
                raise self.life.error
            found = holds()
            if found:
                return found
            time.sleep(0.5)
        raise TimeoutError(f"{what}: not within {patience} s")

    # ---- what happens to it ----

    def lose(self, region, what="whole"):
        self.account.order("take-away", region=region, what=what)
        self.lost |= {region}
        self.say(f"{region} is lost")

    def lose_both(self):
        """The Region that serves is lost, and the observer's."""
        self.lose(self.account.places["observer"])
        self.lose(self.other)

    def recover_from_loss(self):
        """The Region is lost, the alarm goes off, and the recovery is waited for. Gives what a scenario gives."""
        self.lose_both()
        self.heartbeats_end()
        self.alarm()
        self.ended(self.here)
        return self.here, [1]

    def strike(self):
        """The disaster happens."""
        self.account.order("strike")

    def alarm(self, age=0):
        """The event of the plan's alarm for the disaster, `age` seconds after the alarm."""
        alarms = self.account.plan["alarms"]
        alarm = next(each for each in alarms if each["scenario"] == self.scenario.DISASTER and each["start"] != "off")
        name, region = alarm["name"], self.account.places[alarm["region"]]
        cloudwatch = self.account.client("cloudwatch", region)
        on_metric = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        watched = {"metrics": [of_event(each) for each in on_metric]} if on_metric else {"alarmRule": f"ALARM({name}-probe)"}
        event = alarm_event(self.account, region, name, watched, time.time() - age)
        self.account.order("event", region=region, entry=event)

    def start_by_hand(self, region):
        """A planned move to `region`, as somebody who is on call starts it."""
        wants = ["--want", "intent=switchover"]
        self.say(
            self.people[region]
            .drctl("start", "region-failure", *wants, "--region", region)
            .strip()
            .replace("\n", " | ")
        )

    def turn_of(self, schedule, region):
        """A schedule's turn comes early."""
        target = self.account.client("scheduler", region).get_schedule(Name=PREFIX + schedule)["Target"]
        self.account.client("lambda", region).invoke(FunctionName=target["Arn"], Payload=target["Input"])

    def stop(self, region):
        """Somebody stops the newest recovery of this Region."""
        running = self.executions(region)[-1]["executionArn"]
        self.account.client("stepfunctions", region).stop_execution(executionArn=running, cause="e2e")
        self.say(f"{running.rsplit(':')[-1]} is stopped")

    @contextlib.contextmanager
    def not_allowed(self, function, action="*"):
        """Within this, a function of the standby's stack may not do something."""
        iam = self.account.client("iam", self.here)
        arn = self.account.client("lambda", self.here).get_function(FunctionName=PREFIX + function)["Configuration"][
            "Role"
        ]
        role = arn.rsplit("/")[-1]
        denied = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]}
        iam.put_role_policy(RoleName=role, PolicyName="e2e", PolicyDocument=json.dumps(denied))
        yield
        iam.delete_role_policy(RoleName=role, PolicyName="e2e")

    @contextlib.contextmanager
    def without_function(self, region):
        """Within this, a function of the platform is not there."""
        functions = self.account.client("lambda", region)
        name = self.account.plan["functions"][0]["name"]
        reserved = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        functions.delete_function(FunctionName=name)
        yield
        self.account.platform_function(region, name, reserved)

    def heartbeats_end(self):
        """Waits until a heartbeat that was on its way would have come: what was lost can be said then."""
        time.sleep(20)

    def probes_see_it(self, minutes=1):
        """Waits until the probes of standby and observer have written down so many bad minutes."""

        def bad(region):
            partition = f"probe#{self.account.plan['workload']}"
            items = self.items(region, partition)
            # A scale of its own: probes ask by the minutes of the clock.
            return sum(not item["healthy"] for item in items if item["minute"] > self.lost_at)

        self.lost_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
        regions = [region for side, region in self.account.places.items() if side != "primary"]
        self.wait(
            "probes that see the outage", lambda: all(bad(region) >= minutes for region in regions), 60 * minutes + 150
        )

    # ---- what is there ----

    def look(self):
        """What is true of the simulated databases and customers."""
        return self.account.order("look")

    def visited(self, state):
        """Whether an execution has come to this state."""
        return any(line["happened"] == "visit" and line["state"] == state for line in self.journal())

    def decided(self, reason):
        """Waits for the decision on an alarm's event: to start nothing, with this word in its reason."""

        def refused():
            items = self.items(self.here, f"start#{self.account.plan['workload']}")
            return [item["decision"] for item in items]

        (decision,) = self.wait("a decision on the event", refused)
        assert decision["what"] == "refused" and reason in decision["reason"], decision
        self.say(decision["reason"])

    def used_clusters(self):
        """The clusters that the platform's functions use in the Region that serves."""
        functions = self.account.client("lambda", self.other)
        found = [
            functions.get_function_configuration(FunctionName=each["name"]) for each in self.account.plan["functions"]
        ]
        return {each["Environment"]["Variables"]["DB_CLUSTER_ARN"] for each in found}

    def checked(self, found):
        """How often the platform's check of its own data has found that: 1 is right, and 0 is wrong."""
        return self.life.values["IntegrityCheck"].count(found)

    def lock(self, region):
        items = self.items(region, f"workload#{self.account.plan['workload']}")
        return next((item for item in items if item["sk"] == "lock" and item.get("execution")), None)

    def header(self, region):
        """The header of this Region's newest recovery."""
        items = self.items(region, f"recovery#{self.recoveries(region)[-1]}")
        return next(item for item in items if item["sk"] == "header")

    def closing(self, region):
        """How this Region's newest recovery ended."""
        return self.header(region)["closing"]

    def items(self, region, partition):
        """Items of a partition of the record."""
        table = self.account.client("dynamodb", region)
        pages = table.get_paginator("query").paginate(
            TableName=self.account.plan["automation"]["table"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
        )
        return [plain(item) for page in pages for item in page["Items"]]

    def executions(self, region, machine=RECOVERY):
        """Executions of a machine, oldest first."""
        sfn = self.account.client("stepfunctions", region)
        arn = f"arn:aws:states:{region}:{self.account.account}:stateMachine:{machine}"
        found = sfn.list_executions(stateMachineArn=arn)["executions"]
        return sorted(found, key=lambda execution: execution["startDate"])

    def ended(self, region, number=1):
        """Waits for the end of execution `number` of the recovery machine; gives it."""

        def over():
            executions = self.executions(region)
            return (
                len(executions) >= number and executions[number - 1]["status"] != "RUNNING" and executions[number - 1]
            )

        execution = self.wait(f"the end of recovery {number} in {region}", over)
        sfn = self.account.client("stepfunctions", region)
        told = sfn.describe_execution(executionArn=execution["executionArn"])
        self.say(f"{execution['name']} is {told['status']}: {short(told)}")
        return told

    def with_children(self, region, executions):
        """These executions, and those that they started."""
        sfn = self.account.client("stepfunctions", region)
        children = [
            execution["executionArn"] for machine in CHILDREN for execution in self.executions(region, machine)
        ]
        told = {arn: sfn.describe_execution(executionArn=arn)["input"] for arn in children}
        return [*executions, *(arn for arn in children if any(execution in told[arn] for execution in executions))]

    def recoveries(self, region):
        """Ids of this Region's recoveries, oldest first."""
        items = self.items(region, f"workload#{self.account.plan['workload']}")
        return sorted(item["sk"].removeprefix("recovery#") for item in items if item["sk"].startswith("recovery#"))

    def reports(self, region):
        """What is kept in this Region's bucket, oldest first: bodies by key."""
        site = next(site for site in self.account.sites.values() if site["region"] == region)
        s3 = self.account.client("s3", region)
        kept = s3.list_objects_v2(Bucket=site["reports"]).get("Contents", [])
        kept.sort(key=lambda each: each["LastModified"])
        return {
            each["Key"]: s3.get_object(Bucket=site["reports"], Key=each["Key"])["Body"].read().decode() for each in kept
        }

    def report(self, region, recovery):
        """The last report of a recovery, as JSON."""
        bodies = [body for key, body in self.reports(region).items() if recovery in key and key.endswith(".json")]
        assert bodies, f"no report of {recovery} in {region}"
        return json.loads(bodies[-1])

    def settings(self):
        """What recoveries change and give back: of the functions, stages and the public name's switch, in both Regions."""
        found = {}
        for side, site in self.account.sites.items():
            functions = self.account.client("lambda", site["region"])
            for function in self.account.plan["functions"]:
                reserved = functions.get_function_concurrency(FunctionName=function["name"])
                found[side, function["name"]] = reserved.get("ReservedConcurrentExecutions")
            api = self.account.client("apigateway", site["region"])
            stage = api.get_stage(restApiId=site["api"]["rest_api"], stageName=site["api"]["stage"])
            found[side, "stage"] = stage.get("methodSettings", {}).get("*/*", {})
        switch = self.account.plan["dns"].get("switch_object")
        if switch:
            s3 = self.account.client("s3", self.here)
            kept = s3.list_objects_v2(Bucket=switch["bucket"], Prefix=switch["key"])
            found["switch object"] = kept["KeyCount"]
        return found

    def journal(self):
        return [json.loads(line) for line in self.account.journal.read_text().splitlines()]

    def end(self):
        """Keeps what the emulator has, and ends everything."""
        for part in filter(None, [self.life, *self.people.values()]):
            part.stopped.set()
        try:
            if len(self.people) == 2:
                self.keep()
        finally:
            self.account.end()

    def keep(self):
        """Keeps what the emulator has of executions, logs and messages, beside the journal."""
        for region in (self.here, self.other):
            sfn = self.account.client("stepfunctions", region)
            for machine in (RECOVERY, *CHILDREN):
                for execution in self.executions(region, machine):
                    pages = sfn.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
                    events = [event for page in pages for event in page["events"]]
                    file = self.work / f"{region}-{machine}-{execution['name'][-40:]}.json"
                    file.write_text(json.dumps(events, indent=1, default=str))
            people = self.people[region]
            text = "\n\n".join(f"# {message['subject']}\n{message['text']}" for message in people.heard)
            (self.work / f"{region}-messages.txt").write_text(text)
            for key, body in self.reports(region).items():
                (self.work / f"report-{key.rsplit('/')[-1]}").write_text(body)
        for place, lines in self.log_lines().items():
            (self.work / f"{place}.log").write_text("\n".join(lines))

    def log_lines(self):
        """What the functions have logged, by Region and function."""
        found = {}
        for region in self.account.places.values():
            logs = self.account.client("logs", region)
            groups = [
                group for page in logs.get_paginator("describe_log_groups").paginate() for group in page["logGroups"]
            ]
            for group in groups:
                pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
                lines = [event["message"] for page in pages for event in page["events"]]
                if lines:
                    found[f"{region}-{group['logGroupName'].rsplit('/')[-1]}"] = lines
        return found


class Life:
    """What the platform and RDS leave behind while they live: word of the heartbeat, the lag of replication."""

    def __init__(self, account):
        self.account, self.has_left, self.error = account, False, None
        # What was published, by the metric's name.
        self.values = collections.defaultdict(list)
        self.stopped = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            self.live()
        except Exception as error:
            self.error = error

    def live(self):
        account = self.account
        regions = (account.here, account.other)
        tables = {region: account.client("dynamodb", region) for region in regions}
        metrics = {region: account.client("cloudwatch", region) for region in regions}
        written, published = set(), collections.Counter()
        while not self.stopped.wait(1):
            seen = account.order("look")
            for left in seen["heartbeats"]:
                item = {name: {"S": text} for name, text in left["item"].items()}
                tables[left["region"]].put_item(TableName=account.plan["automation"]["table"], Item=item)
            ledger = seen["ledger"]
            for entry in ledger["entries"]:
                if entry["sk"] not in written:
                    written.add(entry["sk"])
                    item = typed({"pk": f"ledger#{account.plan['workload']}", **entry})
                    tables[ledger["region"]].put_item(TableName=account.plan["automation"]["table"], Item=item)
            for metric in seen["metrics"]:
                key = metric["region"], metric["name"]
                if metric["minutes"] > published[key]:
                    published[key] = metric["minutes"]
                    datum = {
                        "MetricName": metric["name"],
                        "Dimensions": metric["dimensions"],
                        "Value": metric["value"],
                    }
                    metrics[metric["region"]].put_metric_data(Namespace=metric["namespace"], MetricData=[datum])
                    self.values[metric["name"]].append(metric["value"])
                    self.has_left = self.has_left or bool(seen["heartbeats"])


def typed(item):
    """An item as DynamoDB takes it."""
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def of_event(alarm):
    """What an alarm is on, as its events say it."""
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    metric = {"namespace": alarm["Namespace"], "name": alarm["MetricName"], "dimensions": dimensions}
    stat = {"metric": metric, "period": alarm["Period"], "stat": alarm["Statistic"]}
    return {"id": "m", "metricStat": stat, "returnData": True}


def alarm_event(account, region, alarm, configuration, at):
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(at))
    arn = f"arn:aws:cloudwatch:{region}:{account.account}:alarm:{alarm}"
    detail = {
        "alarmName": alarm,
        "state": {"value": "ALARM", "reason": "as the scenario has it", "timestamp": now},
        "previousState": {"value": "OK", "reason": "it was served", "timestamp": now},
        "configuration": configuration,
    }
    return {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [arn],
        "Detail": json.dumps(detail),
    }


def plain(item):
    """A DynamoDB item as JSON has it."""

    def value(typed):
        ((kind, held),) = typed.items()
        match kind:
            case "N":
                return json.loads(held)
            case "M":
                return {name: value(each) for name, each in held.items()}
            case "L":
                return [value(each) for each in held]
            case "NULL":
                return None
        return held

    return {name: value(typed) for name, typed in item.items()}


def short(execution):
    text = execution.get("output") or f"{execution.get('error')}: {execution.get('cause')}"
    return text if len(text) < 400 else text[:400] + " …"
