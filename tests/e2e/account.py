"""An account on the emulator: RADIANT's platform, and the stack as `drctl plan render` and AWS's own transform make it."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile

import boto3
import yaml
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 4601
# Stacks in two Regions get names of their own: the emulator makes equal role names of equal stack names, and the second overwrites
# the first.
STACKS = {side: f"radiant-recovery-{side}" for side in ("primary", "standby", "observer")}
PREFIX = "radiant-"
PATIENCE = 120
# What the places of code and definitions end with where a stack is deployed a second time.
AGAIN = "-again"


class Account:
    """A running emulator with everything deployed."""

    def __init__(self, work, programs, plan, disaster, scale, seed):
        """`plan` is the text of a recovery plan; `disaster` is what may happen; `scale` multiplies what is waited for."""
        self.work, self.programs, self.scale, self.seed = pathlib.Path(work), pathlib.Path(programs), scale, seed
        self.disaster = disaster
        self.text, self.plan = plan, yaml.safe_load(plan)
        # What changes the stack's template and the machines' definitions, as JSON, before they are deployed.
        self.change_template = self.change_definition = lambda made: None
        self.account = self.plan["account"]
        self.sites = self.plan["regions"]
        self.here = self.sites["standby"]["region"]
        self.other = self.sites["primary"]["region"]
        self.journal = self.work / "journal.jsonl"
        self.plan_file = self.work / "plan.yaml"
        self.plan_file.write_text(plan)
        # Where each stack is deployed.
        self.places = {side: site["region"] for side, site in self.sites.items()}
        if "observer" in self.plan:
            self.places["observer"] = self.plan["observer"]["region"]

    # ---- the emulator ----

    def start(self):
        names = self._names()
        (self.work / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.2 {name}\n" for name in names))
        self._certificate(names)
        settings = {
            "port": PORT,
            "scale": self.scale,
            "seed": self.seed,
            "disaster": self.disaster,
            "account": self.account,
            "clusters": [
                f"arn:aws:rds:{site['region']}:{self.account}:cluster:{site['cluster']}" for site in self.sites.values()
            ],
            "prefix": PREFIX,
            "journal": str(self.journal),
            "plan": str(self.plan_file),
            "simulated_services": str(self.programs / "simulated-services"),
            "services_log": str(self.work / "services.log"),
            "authority": str(self.work / "authority.pem"),
            "certificate": str(self.work / "name.pem"),
            "key": str(self.work / "name.key"),
            "name": self.plan["dns"]["name"],
            "standby": self.here,
            "regions": [self.here, self.other],
        }
        (self.work / "settings.json").write_text(json.dumps(settings))
        self.journal.touch()
        # Functions inherit the emulator's environment.
        environment = {
            "PATH": os.environ["PATH"],
            "AUTH": "true",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
            "GATEWAY_PORT": str(PORT),
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.here,
            "SFN_WAIT_SCALE": str(self.scale),
            "TMPDIR": str(self.work),
            "LOG_LEVEL": "INFO",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/e2e/emulator.py"), str(self.work / "settings.json")],
            env=environment,
            stdout=open(self.work / "emulator.log", "w"),
            stderr=subprocess.STDOUT,
        )
        self._wait("the emulator", lambda: self.order_if_up())

    def end(self):
        """Ends the emulator. Its functions end with this process's namespace."""
        process = getattr(self, "process", None)
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def order_if_up(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the emulator ended: see {self.work}/emulator.log")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_ministack/health", timeout=1)
            return True
        except OSError:
            return False

    def order(self, order, /, **fields):
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/_e2e/{order}", json.dumps(fields).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def client(self, service, region):
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{PORT}",
            aws_access_key_id=self.account,
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )

    def _names(self):
        """The public name, and whom the probes ask whether they reach the outside."""
        folder = self.work / "parameters"
        run([self.programs / "drctl", "plan", "render", self.plan_file, "--folder", folder])
        given = yaml.safe_load((folder / f"{self.here}.yaml").read_text())
        outside = json.loads(given["Outside"]) or {"endpoints": [], "names": []}
        return [self.plan["dns"]["name"], *outside["endpoints"], *outside["names"]]

    def _certificate(self, names):
        """An authority of its own, and a certificate of `names` from it."""
        name = names[0]
        urls = [f"*.lambda-url.{site['region']}.on.aws" for site in self.sites.values()]
        alternatives = ",".join(f"DNS:{name}" for name in [*names, *urls])
        (self.work / "name.ext").write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n")
        key = ["-newkey", "rsa:2048", "-nodes"]
        for command in [
            [
                "req",
                "-x509",
                *key,
                "-days",
                "2",
                "-subj",
                "/CN=e2e",
                "-keyout",
                "authority.key",
                "-out",
                "authority.pem",
            ],
            ["req", *key, "-subj", f"/CN={name}", "-keyout", "name.key", "-out", "name.csr"],
            ["x509", "-req", "-in", "name.csr", "-days", "2", "-CA", "authority.pem", "-CAkey", "authority.key"]
            + ["-CAcreateserial", "-extfile", "name.ext", "-out", "name.pem"],
        ]:
            run(["openssl", *command], cwd=self.work)

    def _wait(self, what, holds, patience=PATIENCE):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            found = holds()
            if found:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"{what}: not within {patience} s")

    # ---- the platform ----

    def platform(self):
        """What RADIANT has before there is any recovery."""
        iam = self.client("iam", self.here)
        iam.create_role(
            RoleName="platform",
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
        )
        data = {"Effect": "Allow", "Action": ["rds-data:*", "secretsmanager:GetSecretValue"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [data]})
        iam.put_role_policy(RoleName="platform", PolicyName="data", PolicyDocument=policy)
        for side, site in self.sites.items():
            for function in self.plan["functions"]:
                self.platform_function(site["region"], function["name"], 0 if side == "standby" else None)
            self._rest_api(site)
        route53 = self.client("route53", "us-east-1")
        name = self.plan["dns"]["name"]
        zone = route53.create_hosted_zone(Name=name.split(".", 1)[1], CallerReference="e2e")
        # Its id cannot be chosen there.
        self._is_named({self.plan["dns"]["hosted_zone"]: zone["HostedZone"]["Id"].rsplit("/")[-1]})

    def _is_named(self, made):
        """Has the plan name what was made in place of what it named before."""
        for planned, there in made.items():
            assert self.text.count(planned) == 1, f"the plan names {planned} not once"
            self.text = self.text.replace(planned, there)
        self.plan_file.write_text(self.text)

    def platform_function(self, region, name, reserved):
        """A function of the platform, with so much reserved concurrency, or without any."""
        functions = self.client("lambda", region)
        site = next(site for site in self.sites.values() if site["region"] == region)
        cluster = f"arn:aws:rds:{region}:{self.account}:cluster:{site['cluster']}"
        functions.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=f"arn:aws:iam::{self.account}:role/platform",
            Code={"ZipFile": zipped({"bootstrap": b"#!/bin/sh\n"})},
            Environment={"Variables": {"DB_CLUSTER_ARN": cluster, "DB_SECRET_ARN": site["database_secret"]}},
        )
        if reserved is not None:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)

    def _rest_api(self, site):
        apis = self.client("apigateway", site["region"])
        wanted = site["api"]
        api = apis.create_rest_api(name="radiant", tags={"ms-custom-id": wanted["rest_api"]})["id"]
        assert api == wanted["rest_api"], f"the emulator made REST API {api}, not {wanted['rest_api']}"
        root = apis.get_resources(restApiId=api)["items"][0]["id"]
        apis.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
        apis.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
        apis.create_deployment(restApiId=api, stageName=wanted["stage"])

    # ---- the stack ----

    def stack(self):
        """Deploys the stack in all Regions, and makes the plan the one in force."""
        folder = self.work / "parameters"
        self.drctl("plan", "render", self.plan_file, "--folder", folder)
        for side, region in self.places.items():
            self._deploy(STACKS[side], region, folder / f"{region}.yaml")
        with open(self.work / "hosts", "a") as hosts:
            for side, site in self.sites.items():
                url = self.outputs(STACKS[side], site["region"])["StartUrl"]
                hosts.write(f"127.0.0.2 {urllib.parse.urlsplit(url).netloc}\n")
        switch = self.plan["dns"].get("switch_object")
        if switch:
            made = self.outputs(STACKS["standby"], self.here)["SwitchHealthCheck"]
            self._is_named({switch["health_check"]: made})
        self.order("begin")
        self._event_sources()
        for made in self.order("alarms")["alarms"]:
            self._alarm(**made)
        self.drctl("plan", "push", self.plan_file)

    def _alarm(self, region, alarm):
        """An alarm that is the platform's own. The stack has made the others."""
        cloudwatch = self.client("cloudwatch", region)
        if not cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]:
            cloudwatch.put_metric_alarm(**alarm)

    def _event_sources(self):
        """What the simulated platform's functions read from, in the emulator too."""
        for region in (self.here, self.other):
            queues = self.client("sqs", region)
            function = self.plan["functions"][0]["name"]
            for mapping in self.order("event-sources", region=region, function=function):
                queues.create_queue(QueueName=mapping["EventSourceArn"].rsplit(":")[-1])
                self.order("event-source", region=region, mapping=mapping)

    def drctl(self, *arguments):
        """What drctl prints, run as somebody who may do everything."""
        return run([self.programs / "drctl", *arguments], env=self.credentials(), cwd=self.work)

    def credentials(self):
        return {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
            "AWS_REGION": self.here,
            "SSL_CERT_FILE": str(self.work / "authority.pem"),
        }

    def update(self, region):
        """Deploys this Region's stack again, with functions and machines that count as new."""
        side = next(side for side, place in self.places.items() if place == region)
        self._deploy(STACKS[side], region, self.work / "parameters" / f"{region}.yaml", again=True)

    def _deploy(self, stack, region, parameters, again=False):
        given = yaml.safe_load(parameters.read_text())
        given = {name: str(value) for name, value in given.items()} | {"Architecture": "x86_64"}
        template = ROOT / "infra/template.yaml"
        if again:
            # A new place of the code is new code, and makes a new version.
            text = re.sub(r"(?m)^( +(?:CodeUri|DefinitionUri): .*)$", rf"\1{AGAIN}", template.read_text())
            template = self.work / "template-again.yaml"
            template.write_text(text)
        transform = [ROOT / "infra/.venv/bin/python", ROOT / "tests/template/transform.py", template, region]
        transformed = run(transform, input=json.dumps(given))
        template = json.loads(transformed)
        self.change_template(template)
        self._upload(template, region, again)
        # Its CloudFormation refuses this one's body, and nothing reads it.
        template["Resources"].pop("Dashboard")
        body = json.dumps(template).encode()
        self.client("s3", region).put_object(Bucket=f"uploaded-{region}", Key="template.json", Body=body)
        formation = self.client("cloudformation", region)
        make = formation.update_stack if again else formation.create_stack
        make(
            StackName=stack,
            TemplateURL=f"https://s3.{region}.amazonaws.com/uploaded-{region}/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

        def ended():
            status = formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return not status.endswith("IN_PROGRESS") and status

        status = self._wait(f"stack {stack}", ended)
        if status != ("UPDATE_COMPLETE" if again else "CREATE_COMPLETE"):
            events = formation.describe_stack_events(StackName=stack)["StackEvents"]
            why = [
                f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
                for event in events
                if event["ResourceStatus"].endswith("FAILED")
            ]
            raise RuntimeError(f"stack {stack} is {status}: {'; '.join(why)}; see {self.work}/emulator.log")

    def outputs(self, stack, region):
        described = self.client("cloudformation", region).describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def _upload(self, template, region, again):
        """Puts code and definitions where the transform has them; what the template does not name is not uploaded."""
        s3 = self.client("s3", region)
        bucket = f"uploaded-{region}"
        if not again:
            elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
            s3.create_bucket(Bucket=bucket, **elsewhere)
        for resource in template["Resources"].values():
            properties = resource["Properties"]
            code, definition = properties.get("Code"), properties.get("DefinitionS3Location")
            if resource["Type"] == "AWS::Lambda::Function":
                function = pathlib.Path(code["S3Key"]).name.removesuffix(AGAIN)
                body = (self.programs / f"{function}.zip").read_bytes()
                s3.put_object(Bucket=bucket, Key=code["S3Key"], Body=body)
                code["S3Bucket"] = bucket
            elif resource["Type"] == "AWS::StepFunctions::StateMachine":
                machine = json.loads((ROOT / definition["Key"].removesuffix(AGAIN)).read_text())
                machine["Comment"] += AGAIN if again else ""
                self.change_definition(machine)
                s3.put_object(Bucket=bucket, Key=definition["Key"], Body=json.dumps(machine))
                definition["Bucket"] = bucket


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, body in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, body)
    return made.getvalue()


def run(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} {command[1]}: status {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout
