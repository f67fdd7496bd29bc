"""What the emulator lacks or gets wrong, each mended by wrapping one of its functions.

A function that is not there any more stops the emulator: a new version of it has to be looked at.
"""

import contextvars
import copy
import importlib
import json
import re
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import cbor2

# What a request to CloudWatch in CBOR begins with.
CLOUDWATCH_CBOR = "/service/GraniteServiceVersion20100801/operation/"


def wrap(module, name, make):
    """Replaces `module.name` by what `make` makes of it."""
    module = importlib.import_module(f"ministack.{module}")
    original = getattr(module, name, None)
    if not callable(original):
        raise SystemExit(f"the emulator has no {module.__name__}.{name} any more; see tests/e2e/seams.py")
    setattr(module, name, make(original))
    return original


def add_kind(kind, create):
    """Has CloudFormation make resources of a kind that it does not know there. Nothing deletes them."""
    from ministack.services.cloudformation import provisioners

    if kind in provisioners._RESOURCE_HANDLERS:
        raise SystemExit(f"the emulator has {kind} by now; see tests/e2e/seams.py")
    provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "delete": lambda *_: None}


def install(journal, scale, clusters):
    """Installs what needs nothing but the emulator itself. `clusters` are the ARNs of the global database's."""
    parallel_of_its_own()
    timeouts_that_are_computed(scale)
    visits(journal)
    versions_of_machines()
    health_checks_of_stacks()
    alarms_of_stacks()
    versions_that_are_started()
    resources_that_are_named()
    outputs_of_succeed(journal)
    callers_of_urls()
    names_of_services()
    transport()
    principals()
    leading_keys()
    actions_by_the_model()
    condition_keys_of_lambda()
    condition_keys_of_cloudwatch()
    permissions(journal)
    resources_of_rds(clusters)
    errors_of_nested_executions()
    outputs_of_failures()


def principals():
    """`aws:PrincipalArn` of an assumed role is the session's there; on AWS it is the role's."""

    def of_the_role(original):
        def run(key, context):
            found = original(key, context)
            if key.lower() != "aws:principalarn":
                return found
            session = re.search(r"^arn:aws:sts::(\d+):assumed-role/([^/]+)/", found or "")
            return f"arn:aws:iam::{session[1]}:role/{session[2]}" if session else found

        return run

    wrap("core.iam_evaluator", "_resolve_condition_key", of_the_role)


def names_of_services():
    """A service that the emulator does not have makes it read the models of all that there are: several seconds in which nobody
    is answered."""

    def known(original):
        return lambda name: name == "health" or original(name)

    wrap("core.router", "_is_aws_service_name", known)


def transport():
    """Loopback stands for what is TLS on AWS, where policies ask for it."""

    def secure(original):
        return lambda source_ip, secure_transport: original(source_ip, True)

    wrap("app", "pin_request_origin", secure)


# The partition keys of the items of the request that is being checked, in their order.
_partitions = contextvars.ContextVar("partitions", default=())


def leading_keys():
    """The condition key `dynamodb:LeadingKeys` is not there. In a transaction each item is checked with its own."""

    def with_keys(original):
        def run(body):
            return original(body) | as_condition([partition(request(body))])

        return run

    def in_order(original):
        def run(action, body, region, account):
            checks = original(action, body, region, account)
            # The order is that of the original: items, and the members of each.
            items = request(body).get("TransactItems") or [] if checks else []
            _partitions.set(iter([partition(member) for item in items for member in item.values()]))
            return checks

        return run

    def with_own_key(original):
        def run(key, action, service, region, resource_arn="*", service_context=None):
            if service == "dynamodb" and "dynamodb:EnclosingOperation" in (service_context or {}):
                service_context = service_context | as_condition([next(_partitions.get())])
            return original(key, action, service, region, resource_arn=resource_arn, service_context=service_context)

        return run

    def request(body):
        try:
            return json.loads(body or b"{}")
        except ValueError:
            return {}

    def as_condition(keys):
        keys = [key for key in keys if key]
        return {"dynamodb:LeadingKeys": keys} if keys else {}

    wrap("core.iam_actions", "dynamodb_service_context", with_keys)
    wrap("core.iam_actions", "dynamodb_transaction_checks", in_order)
    wrap("core.iam_evaluator", "enforce", with_own_key)


def partition(request):
    """The value of the table's partition key, `pk`, in an item, a key or a query; None without one."""
    for member in ("Key", "Item"):
        if member in request:
            return request[member]["pk"]["S"]
    condition = request.get("KeyConditionExpression", "")
    for name, attribute in (request.get("ExpressionAttributeNames") or {}).items():
        found = re.search(rf"{re.escape(name)}\s*=\s*(:\w+)", condition) if attribute == "pk" else None
        if found:
            return request["ExpressionAttributeValues"][found[1]]["S"]
    return None


def actions_by_the_model():
    """Lambda's actions go by parts of the path there, whatever the method: each change of an event source would be a look. And
    CloudWatch's requests in CBOR have no action, so that nothing is checked."""

    def of_lambda(original):
        from ministack.core import iam_actions

        iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]

        def run(method, path):
            found = iam_actions._match_rest_action("lambda", method, path, {})
            return original(method, path) if found in (None, "Invoke", "InvokeAsync") else found

        return run

    def of_cbor(original):
        def run(service, method, path, headers, body, query_params):
            if path.startswith(CLOUDWATCH_CBOR):
                return f"cloudwatch:{path.removeprefix(CLOUDWATCH_CBOR)}"
            return original(service, method, path, headers, body, query_params)

        return run

    wrap("core.iam_actions", "_lambda_action", of_lambda)
    wrap("core.iam_actions", "extract_iam_action", of_cbor)


def condition_keys_of_lambda():
    """`lambda:FunctionArn` of an event source is not there."""

    def with_function(original):
        def run(key, action, service, region, resource_arn="*", service_context=None):
            if action.endswith("EventSourceMapping") and ":event-source-mapping:" in resource_arn:
                from ministack.services import lambda_svc

                source = lambda_svc._esms.get(resource_arn.rsplit(":", 1)[-1]) or {}
                service_context = (service_context or {}) | {"lambda:FunctionArn": source.get("FunctionArn")}
            return original(key, action, service, region, resource_arn=resource_arn, service_context=service_context)

        return run

    wrap("core.iam_evaluator", "enforce", with_function)


def condition_keys_of_cloudwatch():
    """`cloudwatch:namespace` is not there."""

    def with_namespace(original):
        def run(service, action, body, params):
            found = original(service, action, body, params)
            if action == "cloudwatch:PutMetricData":
                found = found | {"cloudwatch:namespace": namespace(body)}
            return found

        return run

    def namespace(body):
        if body[:1] == b"{":
            return json.loads(body).get("Namespace")
        if b"Namespace=" in body:
            return parse_qs(body.decode())["Namespace"][0]
        return cbor2.loads(body).get("Namespace")

    wrap("core.iam_actions", "request_tag_context", with_namespace)


# Which parameters of RDS name resources, and of which type these are.
OF_RDS = {
    "DBClusterIdentifier": "cluster",
    "SourceDBClusterIdentifier": "cluster",
    "DBInstanceIdentifier": "db",
    "DBClusterSnapshotIdentifier": "cluster-snapshot",
    "DBClusterParameterGroupName": "cluster-pg",
    "DBParameterGroupName": "pg",
    "DBSubnetGroupName": "subgrp",
    "ResourceArn": "cluster",
}
# What is asked for without a name is asked for of all.
ALL_OF_RDS = {"DescribeDBClusters": "cluster", "DescribeDBInstances": "db"}

# What the request to RDS that is being checked takes: actions and resources.
_of_rds = contextvars.ContextVar("of_rds", default=())


def resources_of_rds(clusters):
    """A request to RDS is checked on one resource; AWS checks it on each that it names, a failover or a switchover on the clusters
    of the global database too, and tags that are given at a creation as `rds:AddTagsToResource`."""

    def named(original):
        def run(service, method, path, headers, body, query_params, region, account):
            found = original(service, method, path, headers, body, query_params, region, account)
            _of_rds.set(taken(query_params, region, account) if service == "rds" else ())
            return found

        return run

    def taken(query_params, region, account):
        given = {name: value[0] if isinstance(value, list) else value for name, value in query_params.items()}
        operation = given.get("Action", "")
        place = f"arn:aws:rds:{region}:{account}"
        action = f"rds:{operation}"
        named = [
            (action, value if value.startswith("arn:") else f"{place}:{kind}:{value}")
            for name, kind in OF_RDS.items()
            if (value := given.get(name))
        ]
        if operation in ("FailoverGlobalCluster", "SwitchoverGlobalCluster"):
            named += [(action, cluster) for cluster in clusters]
        if not named and operation in ALL_OF_RDS:
            named = [(action, f"{place}:{ALL_OF_RDS[operation]}:*")]
        if any(name.startswith("Tags.") for name in given):
            made = {"CreateDBClusterSnapshot": "cluster-snapshot", "CreateDBInstance": "db"}.get(operation, "cluster")
            name = next(name for name, kind in OF_RDS.items() if kind == made)
            named.append(("rds:AddTagsToResource", f"{place}:{made}:{given[name]}"))
        return named

    def on_each(original):
        def run(key, action, service, region, resource_arn="*", service_context=None):
            checks = [(action, resource_arn)]
            if service == "rds":
                one_by_one = [check for check in _of_rds.get() if check != checks[0]]
                checks = one_by_one if resource_arn == "*" and one_by_one else checks + one_by_one
            answers = (
                original(key, each, service, region, resource_arn=one, service_context=service_context)
                for each, one in checks
            )
            return next(filter(None, answers), None)

        return run

    wrap("core.iam_actions", "extract_resource_arn", named)
    wrap("core.iam_evaluator", "enforce", on_each)


def permissions(journal):
    """Writes down which permissions were asked for, and whether they were there."""

    def written(original):
        def run(key, action, service, region, resource_arn="*", service_context=None):
            refused = original(key, action, service, region, resource_arn=resource_arn, service_context=service_context)
            journal("permission", key=key, action=action, resource=resource_arn, allowed=refused is None)
            return refused

        return run

    wrap("core.iam_evaluator", "enforce", written)


def outputs_of_failures():
    """An execution that has failed has an output there."""

    def without_output(original):
        def run(data):
            status, headers, body = original(data)
            described = json.loads(body)
            if status < 300 and described["status"] != "SUCCEEDED":
                described.pop("output", None)
                described.pop("outputDetails", None)
            return status, headers, json.dumps(described).encode()

        return run

    wrap("services.stepfunctions", "_describe_execution", without_output)


def errors_of_nested_executions():
    """A nested execution that fails shows the child's own error; AWS shows `States.TaskFailed`, and how the child ended as its
    cause."""

    def as_on_aws(original):
        def run(payload):
            original(payload)
            names = (
                "executionArn",
                "input",
                "name",
                "startDate",
                "stateMachineArn",
                "status",
                "stopDate",
                "error",
                "cause",
            )
            ended = {name[0].upper() + name[1:]: payload[name] for name in names if payload.get(name) is not None}
            return "States.TaskFailed", json.dumps(ended, default=str)

        return run

    wrap("services.stepfunctions", "_nested_execution_failure", as_on_aws)


def outputs_of_succeed(journal):
    """A Succeed state ignores its JSONata `Output`; and neither it nor Fail is among the states whose visit is written down."""
    from ministack.services import stepfunctions

    def with_output(original):
        def run(state_def, data, ctx=None):
            if state_def.get("Type") != "Succeed" or stepfunctions._state_query_language(state_def, ctx) != "JSONata":
                return original(state_def, data, ctx)
            visit(journal, ctx, "Succeed")
            return stepfunctions._apply_jsonata_output(state_def, data, ctx, default=data)

        return run

    def written(original):
        def run(state_def, raw_input, ctx=None):
            visit(journal, ctx, "Fail")
            return original(state_def, raw_input, ctx)

        return run

    wrap("services.stepfunctions", "_apply_output_path", with_output)
    wrap("services.stepfunctions", "_fail_state_error", written)


def callers_of_urls():
    """The event of a function URL with IAM does not say who calls."""
    from ministack.core.iam_evaluator import resolve_caller_identity
    from ministack.core.router import extract_access_key_id

    def with_caller(original):
        def run(*arguments, **named):
            event = original(*arguments, **named)
            caller = resolve_caller_identity(extract_access_key_id(event["headers"]))
            if caller and "authorizer" not in event["requestContext"]:
                event["requestContext"]["authorizer"] = {
                    "iam": {
                        "accessKey": caller["accessKey"],
                        "accountId": caller["accountId"],
                        "callerId": caller["userId"],
                        "cognitoIdentity": None,
                        "principalOrgId": None,
                        "userArn": caller["userArn"],
                        "userId": caller["userId"],
                    }
                }
            return event

        return run

    wrap("services.lambda_svc", "_build_function_url_event", with_caller)


def resources_that_are_named():
    """Of some resources the emulator knows no ARN, so that no policy could allow them: global clusters, event sources, changes in
    Route 53, and roles that somebody asks about."""

    def named(original):
        def run(service, method, path, headers, body, query_params, region, account):
            # What CloudWatch is asked for in CBOR has no resource, and is not text.
            if path.startswith(CLOUDWATCH_CBOR):
                return "*"
            found = original(service, method, path, headers, body, query_params, region, account)
            value = query_params.get("GlobalClusterIdentifier")
            value = value[0] if isinstance(value, list) else value
            if service == "rds" and value:
                return f"arn:aws:rds::{account}:global-cluster:{value}"
            if service == "iam" and b"PolicySourceArn=" in body:
                return parse_qs(body.decode())["PolicySourceArn"][0]
            source = re.search(r"/event-source-mappings/([0-9a-f-]{36})", path) if service == "lambda" else None
            if source:
                return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{source[1]}"
            if service == "route53" and "/change/" in path:
                return f"arn:aws:route53:::change/{path.rsplit('/', 1)[-1]}"
            return found

        return run

    wrap("core.iam_actions", "extract_resource_arn", named)


def versions_that_are_started():
    """A nested execution cannot be that of a version, which AWS allows. The machine is not updated while one runs here."""

    def without_version(original):
        def run(input_data):
            request = original(input_data)
            machine, _, version = request["stateMachineArn"].rpartition(":")
            if version.isdigit():
                request["stateMachineArn"] = machine
            return request

        return run

    wrap("services.stepfunctions", "_nested_start_execution_request", without_version)


def versions_of_machines():
    """CloudFormation knows no versions of state machines."""
    from ministack.services import stepfunctions

    def create(logical_id, properties, stack):
        asked = {"stateMachineArn": properties["StateMachineArn"], "description": properties.get("Description", "")}
        status, _, body = stepfunctions._publish_state_machine_version(asked)
        if status >= 400:
            raise ValueError(f"{logical_id}: {body}")
        arn = json.loads(body)["stateMachineVersionArn"]
        return arn, {"Arn": arn}

    add_kind("AWS::StepFunctions::StateMachineVersion", create)


def health_checks_of_stacks():
    """CloudFormation knows no health checks of Route 53."""
    from ministack.services import route53

    def create(logical_id, properties, stack):
        fields = "".join(
            f"<{name}>{escape(text(value))}</{name}>" for name, value in properties["HealthCheckConfig"].items()
        )
        body = (
            f"<CreateHealthCheckRequest><CallerReference>{escape(str(stack))}-{logical_id}</CallerReference>"
            f"<HealthCheckConfig>{fields}</HealthCheckConfig></CreateHealthCheckRequest>"
        )
        status, _, answer = route53._create_health_check(body.encode())
        found = re.search(r"<Id>([^<]+)</Id>", answer.decode() if isinstance(answer, bytes) else answer)
        if status >= 400 or not found:
            raise ValueError(f"{logical_id}: {answer}")
        return found[1], {"HealthCheckId": found[1]}

    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    add_kind("AWS::Route53::HealthCheck", create)


def alarms_of_stacks():
    """CloudFormation knows no composite alarms, and no alarms on metric math: those get a metric that nobody publishes."""
    from ministack.services import cloudwatch
    from ministack.services.cloudformation import provisioners

    def create(logical_id, properties, stack):
        status, _, answer = cloudwatch._put_composite_alarm({}, properties, False, is_json=True)
        if status >= 400:
            raise ValueError(f"{logical_id}: {answer}")
        return properties["AlarmName"], {}

    add_kind("AWS::CloudWatch::CompositeAlarm", create)

    alarms = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]

    def on_a_metric(original):
        def run(logical_id, properties, *rest):
            if "Metrics" in properties:
                properties = {name: value for name, value in properties.items() if name != "Metrics"}
                properties |= {"Namespace": "e2e", "MetricName": "none", "Statistic": "Sum", "Period": 60}
            return original(logical_id, properties, *rest)

        return run

    alarms["create"] = on_a_metric(alarms["create"])


def parallel_of_its_own():
    """A Parallel ignores its JSONata `Output` and `Assign`, and its branches share one context and one set of variables."""
    from ministack.services import stepfunctions

    def own_context(original):
        def run(states, start_at, input_data, execution, ctx):
            ctx = {**ctx, "variables": copy.deepcopy(ctx.get("variables", {})), "branch": branch_of(ctx, start_at)}
            return original(states, start_at, input_data, execution, ctx)

        return run

    def with_output(original):
        def run(state_def, raw_input, execution, ctx):
            if stepfunctions._state_query_language(state_def, ctx) != "JSONata":
                return original(state_def, raw_input, execution, ctx)
            branches = {key: value for key, value in state_def.items() if key not in ("Output", "Assign")}
            effective = stepfunctions._apply_jsonata_arguments(state_def, raw_input, ctx)
            results, following = original(branches, effective, execution, ctx)
            output = stepfunctions._apply_jsonata_output(state_def, raw_input, ctx, result=results, default=results)
            stepfunctions._apply_state_assign(state_def, raw_input, ctx, result=results)
            return output, following

        return run

    wrap("services.stepfunctions", "_run_sub_machine", own_context)
    wrap("services.stepfunctions", "_run_parallel_branches", with_output)


def branch_of(ctx, start_at):
    return f"{ctx.get('branch', '')}{ctx['State']['Name']}/{start_at}/"


def timeouts_that_are_computed(scale):
    """`TimeoutSeconds` as an expression crashes. What people are waited for is scaled; calls take the time that they take."""
    from ministack.services import stepfunctions

    def computed(original):
        def run(state_def, raw_input, execution, ctx):
            timeout = state_def.get("TimeoutSeconds")
            if isinstance(timeout, str):
                seconds = stepfunctions._apply_jsonata_template(timeout, raw_input, ctx)
                state_def = {**state_def, "TimeoutSeconds": seconds * scale}
            return original(state_def, raw_input, execution, ctx)

        return run

    wrap("services.stepfunctions", "_execute_task", computed)


def visits(journal):
    """Writes down which states an execution visits, those of branches too, of which the emulator's history says nothing."""

    def written(kind):
        def make(original):
            def run(state_def, raw_input, *rest):
                visit(journal, rest[-1], kind)
                return original(state_def, raw_input, *rest)

            return run

        return make

    for kind in ("Pass", "Task", "Choice", "Wait", "Parallel", "Map"):
        wrap("services.stepfunctions", f"_execute_{kind.lower()}", written(kind))


# States at which the next execution that comes there ends.
dying = set()


def visit(journal, ctx, kind):
    from ministack.services import stepfunctions

    # One that was stopped goes on there in its branches.
    execution = stepfunctions._executions.get(ctx["Execution"]["Id"])
    if execution and execution["status"] == "ABORTED":
        raise stepfunctions._ExecutionError("States.Runtime", "it was stopped")
    journal(
        "visit",
        execution=ctx["Execution"]["Id"],
        branch=ctx.get("branch", ""),
        state=ctx["State"]["Name"],
        kind=kind,
    )
    if ctx["State"]["Name"] in dying:
        dying.discard(ctx["State"]["Name"])
        raise stepfunctions._ExecutionError("States.Runtime", "it was to end here")
