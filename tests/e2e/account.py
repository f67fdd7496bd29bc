"""An account on the emulator: RADIANT's platform, and the stack as `drctl plan render` and AWS's own transform make it."""

import io
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request
import zipfile

import boto3
import yaml
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 4601
# Stacks in two Regions get names of their own: the emulator makes equal role names of equal stack names, and the second overwrites
# the first.
STACKS = {"primary": "radiant-recovery-primary", "standby": "radiant-recovery-standby"}
PREFIX = "radiant-"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
PATIENCE = 120


class Account:
    """A running emulator with everything deployed."""

    def __init__(self, work, programs, scale=0.25, seed=7):
        self.work, self.programs, self.scale, self.seed = pathlib.Path(work), pathlib.Path(programs), scale, seed
        self.plan = yaml.safe_load((ROOT / "radiant.plan.yaml").read_text())
        self.account = self.plan["account"]
        self.sites = self.plan["regions"]
        self.here = self.sites["standby"]["region"]
        self.other = self.sites["primary"]["region"]
        self.journal = self.work / "journal.jsonl"
        self.plan_file = self.work / "plan.yaml"

    # ---- the emulator ----

    def start(self):
        self._certificate()
        settings = {
            "port": PORT,
            "scale": self.scale,
            "seed": self.seed,
            "account": self.account,
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

    def _certificate(self):
        """An authority of its own, and the public name's certificate from it."""
        name = self.plan["dns"]["name"]
        (self.work / "name.ext").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
        key = ["-newkey", "rsa:2048", "-nodes"]
        for command in [
            ["req", "-x509", *key, "-days", "2", "-subj", "/CN=e2e", "-keyout", "authority.key", "-out", "authority.pem"],
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
        code = zipped({"bootstrap": b"#!/bin/sh\n"})
        self.client("iam", self.here).create_role(
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
        for side, site in self.sites.items():
            functions = self.client("lambda", site["region"])
            cluster = f"arn:aws:rds:{site['region']}:{self.account}:cluster:{site['cluster']}"
            for function in self.plan["functions"]:
                functions.create_function(
                    FunctionName=function["name"],
                    Runtime="provided.al2023",
                    Handler="bootstrap",
                    Role=f"arn:aws:iam::{self.account}:role/platform",
                    Code={"ZipFile": code},
                    Environment={
                        "Variables": {"DB_CLUSTER_ARN": cluster, "DB_SECRET_ARN": site["database_secret"]}
                    },
                )
                if side == "standby":
                    functions.put_function_concurrency(
                        FunctionName=function["name"], ReservedConcurrentExecutions=0
                    )
            self._rest_api(site)
        route53 = self.client("route53", "us-east-1")
        name = self.plan["dns"]["name"]
        zone = route53.create_hosted_zone(Name=name.split(".", 1)[1], CallerReference="e2e")
        check = route53.create_health_check(
            CallerReference="e2e",
            HealthCheckConfig={
                "Type": "HTTPS",
                "FullyQualifiedDomainName": f"{self.plan['dns']['switch_object']['bucket']}.s3.{self.here}.amazonaws.com",
                "ResourcePath": "/" + self.plan["dns"]["switch_object"]["key"],
                "Inverted": True,
                "RequestInterval": 10,
                "FailureThreshold": 1,
            },
        )
        # Their ids cannot be chosen there.
        dns, text = self.plan["dns"], (ROOT / "radiant.plan.yaml").read_text()
        for planned, made in [
            (dns["hosted_zone"], zone["HostedZone"]["Id"].rsplit("/")[-1]),
            (dns["switch_object"]["health_check"], check["HealthCheck"]["Id"]),
        ]:
            assert text.count(planned) == 1, f"the plan names {planned} not once"
            text = text.replace(planned, made)
        self.plan_file.write_text(text)
        self.order("begin")

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
        """Deploys the stack in both Regions, and makes the plan the one in force."""
        folder = self.work / "parameters"
        drctl = self.programs / "drctl"
        run([drctl, "plan", "render", self.plan_file, "--folder", folder])
        for side, site in self.sites.items():
            self._deploy(STACKS[side], site["region"], folder / f"{site['region']}.yaml")
        run([drctl, "plan", "push", self.plan_file], env=self.credentials())

    def credentials(self):
        return {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
            "AWS_REGION": self.here,
        }

    def _deploy(self, stack, region, parameters):
        given = yaml.safe_load(parameters.read_text())
        given = {name: str(value) for name, value in given.items()} | {"Architecture": "x86_64"}
        transformed = run(
            [ROOT / "infra/.venv/bin/python", ROOT / "tests/template/transform.py", ROOT / "infra/template.yaml", region],
            input=json.dumps(given),
        )
        template = json.loads(transformed)
        self._upload(template, region)
        composites = []
        for name in [name for name, resource in template["Resources"].items() if is_lacking(resource)]:
            resource = template["Resources"].pop(name)
            if resource["Type"] == COMPOSITE and given["IsStandby"] == "true":
                composites.append(resource["Properties"])
        body = json.dumps(template).encode()
        self.client("s3", region).put_object(Bucket=f"uploaded-{region}", Key="template.json", Body=body)
        formation = self.client("cloudformation", region)
        formation.create_stack(
            StackName=stack,
            TemplateURL=f"https://s3.{region}.amazonaws.com/uploaded-{region}/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )

        def ended():
            status = formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return not status.endswith("IN_PROGRESS") and status

        status = self._wait(f"stack {stack}", ended)
        if status != "CREATE_COMPLETE":
            events = formation.describe_stack_events(StackName=stack)["StackEvents"]
            why = [
                f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
                for event in events
                if event["ResourceStatus"].endswith("FAILED")
            ]
            raise RuntimeError(f"stack {stack} is {status}: {'; '.join(why)}; see {self.work}/emulator.log")

        # CloudFormation cannot make them there, and CloudWatch can.
        for properties in composites:
            rule = properties["AlarmRule"]["Fn::Sub"].replace("${WatchAlarm}", given["WatchAlarm"])
            self.client("cloudwatch", region).put_composite_alarm(AlarmName=given["WatchAlarm"], AlarmRule=rule)

    def outputs(self, stack, region):
        described = self.client("cloudformation", region).describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def _upload(self, template, region):
        """Puts code and definitions where the transform has them; what the template does not name is not uploaded."""
        s3 = self.client("s3", region)
        bucket = f"uploaded-{region}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region}) if (
            region != "us-east-1"
        ) else s3.create_bucket(Bucket=bucket)
        for resource in template["Resources"].values():
            properties = resource["Properties"]
            code, definition = properties.get("Code"), properties.get("DefinitionS3Location")
            if resource["Type"] == "AWS::Lambda::Function":
                function = pathlib.Path(code["S3Key"]).name
                body = zipped({"bootstrap": (self.programs / function).read_bytes()})
                s3.put_object(Bucket=bucket, Key=code["S3Key"], Body=body)
                code["S3Bucket"] = bucket
            elif resource["Type"] == "AWS::StepFunctions::StateMachine":
                s3.put_object(Bucket=bucket, Key=definition["Key"], Body=(ROOT / definition["Key"]).read_bytes())
                definition["Bucket"] = bucket


def is_lacking(resource):
    """Whether the emulator's CloudFormation cannot make this. No recovery needs alarms on metric math, or dashboards."""
    kind, properties = resource["Type"], resource["Properties"]
    return kind in ("AWS::CloudWatch::Dashboard", COMPOSITE) or (kind == "AWS::CloudWatch::Alarm" and "Metrics" in properties)


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
