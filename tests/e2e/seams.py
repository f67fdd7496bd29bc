"""What the emulator lacks or gets wrong, each mended by wrapping one of its functions.

A function that is not there any more stops the emulator: a new version of it has to be looked at.
"""

import copy
import importlib
import json


def wrap(module, name, make):
    """Replaces `module.name` by what `make` makes of it."""
    module = importlib.import_module(f"ministack.{module}")
    original = getattr(module, name, None)
    if not callable(original):
        raise SystemExit(f"the emulator has no ministack.{module.__name__}.{name} any more; see tests/e2e/seams.py")
    setattr(module, name, make(original))
    return original


def install(journal, scale):
    """Installs what needs nothing but the emulator itself."""
    parallel_of_its_own()
    timeouts_that_are_computed(scale)
    visits(journal)
    versions_of_machines()
    versions_that_are_started()
    resources_that_are_named()
    outputs_of_succeed(journal)
    callers_of_urls()


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
    """Of global clusters, and of changes in Route 53, the emulator knows no ARN, so that no policy could allow them."""

    def named(original):
        def run(service, method, path, headers, body, query_params, region, account):
            found = original(service, method, path, headers, body, query_params, region, account)
            value = query_params.get("GlobalClusterIdentifier")
            value = value[0] if isinstance(value, list) else value
            if service == "rds" and value:
                return f"arn:aws:rds::{account}:global-cluster:{value}"
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
    from ministack.services.cloudformation import provisioners

    kind = "AWS::StepFunctions::StateMachineVersion"
    if kind in provisioners._RESOURCE_HANDLERS:
        raise SystemExit(f"the emulator has {kind} by now; see tests/e2e/seams.py")

    def create(logical_id, properties, stack):
        asked = {"stateMachineArn": properties["StateMachineArn"], "description": properties.get("Description", "")}
        status, _, body = stepfunctions._publish_state_machine_version(asked)
        if status >= 400:
            raise ValueError(f"{logical_id}: {body}")
        arn = json.loads(body)["stateMachineVersionArn"]
        return arn, {"Arn": arn}

    provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "delete": lambda *_: None}


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


def visit(journal, ctx, kind):
    journal(
        "visit",
        execution=ctx["Execution"]["Id"],
        branch=ctx.get("branch", ""),
        state=ctx["State"]["Name"],
        kind=kind,
    )
