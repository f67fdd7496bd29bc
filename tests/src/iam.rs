//! Which permissions a role needs: what calls and invocations touched, held against the table of `tests/iam/operations.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use simulator::aws::elasticache::REDIS;
use simulator::aws::resources::{ANY, Resource};
use simulator::cloud::Touched;
use simulator::simulation::{Invoked, InvokedBy};

/// The table as it is kept.
const TABLE: &str = include_str!("../iam/operations.yaml");

/// Placeholders in ARNs whose value may hold colons and slashes: functions with a version or an alias, keys of objects, secrets' and log groups'
/// names.
const NAMES_WITH_SLASHES: [&str; 4] = ["FunctionAndQualifier", "LogGroupName", "ObjectName", "SecretId"];

/// One row: what an operation takes of whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Who asks for it.
    #[serde(default)]
    pub by: By,
    /// The service, as the simulator names it.
    pub service: String,
    /// The operation; for machines, as a Task names it.
    pub operation: String,
    /// The actions that IAM checks.
    pub actions: Vec<Action>,
    /// What the service does as the caller, for which IAM checks the caller's permissions too.
    #[serde(default)]
    pub dependent: Vec<Action>,
    /// Where it is written.
    pub source: String,
    /// What else there is to know.
    #[serde(default)]
    pub note: Option<String>,
}

/// Who asks for an operation, and with whose permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Code of functions, with their roles, or of drctl, with a person's.
    #[default]
    Code,
    /// Lambda, with a function's role.
    Lambda,
    /// Step Functions, with a machine's role.
    Machine,
    /// EventBridge, with the role of a rule's target, or by the policy of the target itself.
    Rule,
    /// EventBridge Scheduler, with a schedule's role.
    Schedule,
    /// Whoever sends a request to a function's URL.
    Url,
}

/// One action, on one kind of resource.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The action, as policies name it.
    pub action: String,
    /// The part of a transaction that it is for.
    #[serde(default)]
    pub part: Option<String>,
    /// The form of the resource's ARN, with a `${Placeholder}` for each name, or `*` where IAM knows no resource.
    pub resource: String,
    /// The condition keys that narrow it further.
    #[serde(default)]
    pub condition_keys: Vec<String>,
    /// The case in which alone it is needed.
    #[serde(default)]
    pub when: Option<When>,
}

/// A case that a call does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// What is touched is encrypted with a key of the account's own.
    CustomerManagedKey,
}

/// A permission that somebody needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Required {
    /// The action.
    pub action: String,
    /// ARN of the resource, or `*` where IAM knows none. An ARN that is not known before ends in `*`.
    pub resource: String,
    /// The values that the request has for the condition keys that narrow it.
    pub conditions: BTreeMap<String, BTreeSet<String>>,
}

/// The whole table.
///
/// # Panics
/// If the table that is compiled in cannot be read; its own tests find that first.
pub fn operations() -> Vec<Operation> {
    read(TABLE).unwrap_or_else(|why| panic!("tests/iam/operations.yaml: {why}"))
}

/// Reads a table. Errors: a text that says what is wrong and where.
pub fn read(table: &str) -> Result<Vec<Operation>, String> {
    serde_saphyr::from_str(table).map_err(|error| error.to_string())
}

/// The row of an operation. Errors: a text, if the table has none, or two.
pub fn row<'a>(table: &'a [Operation], by: By, service: &str, operation: &str) -> Result<&'a Operation, String> {
    let is_it = |row: &&Operation| row.by == by && row.service == service && row.operation == operation;
    let mut rows = table.iter().filter(is_it);
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => Err(format!(
            "{service}:{operation} by {by:?} is not in tests/iam/operations.yaml; add which actions it takes"
        )),
        (Some(_), Some(_)) => Err(format!(
            "{service}:{operation} by {by:?} is twice in tests/iam/operations.yaml"
        )),
    }
}

/// Every permission that a recorded call needs. Errors: a text, if it is not known what the call touched, if the operation is
/// not in the table, or if the table's resources are not those that were touched.
pub fn required(touched: &Touched, table: &[Operation]) -> Result<Vec<Required>, String> {
    // Who may run its commands is for the server to say: IAM is not asked.
    if touched.service == REDIS {
        return Ok(Vec::new());
    }
    let resources = touched.resources.as_ref().map_err(Clone::clone)?;
    permissions(row(table, By::Code, &touched.service, &touched.operation)?, resources)
}

/// Every permission that whoever invoked something needs. Errors: as those of [`required`].
pub fn required_to_invoke(invoked: &Invoked, table: &[Operation]) -> Result<Vec<Required>, String> {
    let by = match invoked.by {
        InvokedBy::Machine(_) => By::Machine,
        InvokedBy::Rule(_) => By::Rule,
        InvokedBy::Schedule(_) => By::Schedule,
        InvokedBy::Url(_) => By::Url,
    };
    let (service, operation) = invoked.how.split_once(':').unwrap_or_default();
    let target = Resource {
        arn: invoked.target_arn.clone(),
        ..Resource::default()
    };
    permissions(row(table, by, service, operation)?, &BTreeSet::from([target]))
}

/// The permissions of a row for these resources. Each resource has to be of a form that the row has, and each action has to
/// have a resource, but for parts: not every transaction has every part.
fn permissions(row: &Operation, resources: &BTreeSet<Resource>) -> Result<Vec<Required>, String> {
    let wrong = |what: String| format!("{}:{} by {:?} {what}", row.service, row.operation, row.by);
    let mut required = BTreeSet::new();
    let mut used = BTreeSet::new();
    let mut names = BTreeMap::new();
    for action in &row.actions {
        let mut found = false;
        for resource in resources.iter().filter(|resource| is_part(action, resource)) {
            let Some(read) = names_in(&action.resource, &resource.arn) else {
                continue;
            };
            names.extend(read);
            found = true;
            used.insert(resource);
            required.insert(permission(action, resource).map_err(wrong)?);
        }
        if !found && action.part.is_none() {
            return Err(wrong(format!(
                "takes {} on {}, and touched nothing like it: {resources:?}",
                action.action, action.resource
            )));
        }
    }
    for action in row.dependent.iter().filter(|action| action.when.is_none()) {
        let own = resources
            .iter()
            .filter(|resource| names_in(&action.resource, &resource.arn).is_some());
        let own: Vec<&Resource> = own.collect();
        for resource in &own {
            used.insert(resource);
            required.insert(permission(action, resource).map_err(wrong)?);
        }
        // It is not in the call, and follows from what is.
        if own.is_empty() {
            let arn = filled(&action.resource, &names).map_err(wrong)?;
            let resource = Resource {
                arn,
                ..Resource::default()
            };
            required.insert(permission(action, &resource).map_err(wrong)?);
        }
    }
    match resources.iter().find(|resource| !used.contains(resource)) {
        Some(resource) => Err(wrong(format!(
            "touched {resource:?}, for which the table has no action"
        ))),
        None => Ok(required.into_iter().collect()),
    }
}

fn is_part(action: &Action, resource: &Resource) -> bool {
    action.part.as_deref() == resource.part
}

/// Errors: a text, if the request has no value for a condition key.
fn permission(action: &Action, resource: &Resource) -> Result<Required, String> {
    let values = action.condition_keys.iter().map(|key| {
        let values = resource.conditions.get(key.as_str());
        let values = values.ok_or_else(|| format!("has no value for {key} on {}", resource.arn))?;
        Ok((key.clone(), values.clone()))
    });
    Ok(Required {
        action: action.action.clone(),
        resource: resource.arn.clone(),
        conditions: values.collect::<Result<_, String>>()?,
    })
}

/// A piece of an ARN's form.
enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// The pieces of a form: `arn:${Partition}:s3:::${BucketName}`.
fn pieces(form: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = form;
    while let Some((text, after)) = rest.split_once("${") {
        pieces.push(Piece::Text(text));
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        pieces.push(Piece::Placeholder(name));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// What stands for each placeholder of `form` in `arn`; nothing, if `arn` is not of this form. Names end at a colon and at a
/// slash, but for the last one where it may hold them.
fn names_in(form: &str, arn: &str) -> Option<BTreeMap<String, String>> {
    if form == ANY || arn == ANY {
        return (form == arn).then(BTreeMap::new);
    }
    let mut names = BTreeMap::new();
    let mut rest = arn;
    for piece in pieces(form) {
        match piece {
            Piece::Text(text) => rest = rest.strip_prefix(text)?,
            Piece::Placeholder(name) => {
                let end = match NAMES_WITH_SLASHES.contains(&name) {
                    true => rest.len(),
                    false => rest.find([':', '/']).unwrap_or(rest.len()),
                };
                let (value, after) = rest.split_at(end);
                if value.is_empty() {
                    return None;
                }
                names.insert(name.to_owned(), value.to_owned());
                rest = after;
            }
        }
    }
    rest.is_empty().then_some(names)
}

/// `form` with these names. Errors: a text, if one is not known.
fn filled(form: &str, names: &BTreeMap<String, String>) -> Result<String, String> {
    let each = pieces(form).into_iter().map(|piece| match piece {
        Piece::Text(text) => Ok(text.to_owned()),
        Piece::Placeholder(name) => {
            let value = names.get(name).cloned();
            value.ok_or_else(|| format!("says nothing of ${{{name}}} in {form}"))
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";

    fn resource(arn: &str) -> Resource {
        Resource {
            arn: arn.to_owned(),
            ..Resource::default()
        }
    }

    /// An item of a transaction, in one partition.
    fn part(part: &'static str, arn: &str) -> Resource {
        Resource {
            part: Some(part),
            conditions: BTreeMap::from([("dynamodb:LeadingKeys", BTreeSet::from(["recovery#1".to_owned()]))]),
            ..resource(arn)
        }
    }

    fn touched(service: &str, operation: &str, resources: impl IntoIterator<Item = Resource>) -> Touched {
        Touched {
            function: "a-step".to_owned(),
            from_region: "us-west-2".to_owned(),
            region: "us-west-2".to_owned(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            can_change: false,
            resources: Ok(resources.into_iter().collect()),
        }
    }

    /// Actions and resources that a call needs.
    fn needs(touched: &Touched) -> Vec<(String, String)> {
        let required = required(touched, &operations()).unwrap();
        required.into_iter().map(|one| (one.action, one.resource)).collect()
    }

    fn refused(touched: &Touched) -> String {
        required(touched, &operations()).unwrap_err()
    }

    fn pair(action: &str, resource: &str) -> (String, String) {
        (action.to_owned(), resource.to_owned())
    }

    #[test]
    fn every_row_is_whole_and_there_once() {
        let table = operations();
        for of in &table {
            let name = format!("{:?} {}:{}", of.by, of.service, of.operation);
            assert!(
                row(&table, of.by, &of.service, &of.operation).is_ok(),
                "{name} is twice there"
            );
            assert!(!of.source.trim().is_empty(), "{name} has no source");
            assert!(
                !of.actions.is_empty() || of.note.is_some(),
                "{name} takes nothing, and does not say why"
            );
            for action in of.actions.iter().chain(&of.dependent) {
                let (service, verb) = action.action.split_once(':').unwrap_or_default();
                let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                assert!(
                    is_word(service) && is_word(verb) && verb.starts_with(|c: char| c.is_ascii_uppercase()),
                    "{name}: {}",
                    action.action
                );
                let form = &action.resource;
                assert!(form == ANY || form.starts_with("arn:${Partition}:"), "{name}: {form}");
                assert!(
                    of.by != By::Code
                        || action.when.is_some()
                        || of.dependent.contains(action)
                        || form == ANY
                        || !form.ends_with('*'),
                    "{name}: {form}"
                );
            }
            assert!(
                of.actions.iter().all(|action| action.when.is_none()),
                "{name}: an action that is not always needed"
            );
        }
    }

    #[test]
    fn every_operation_of_code_is_called_somewhere() {
        let sources = sources();
        for row in operations().iter().filter(|row| row.by == By::Code) {
            let call = format!(".{}()", snake_case(&row.operation));
            // One whose request is built apart from its call.
            let built = format!("{}InputBuilder", row.operation).to_ascii_lowercase();
            assert!(
                sources.contains(&call) || sources.to_ascii_lowercase().contains(&built),
                "nobody calls {}:{} ({call})",
                row.service,
                row.operation
            );
        }
        assert_eq!(snake_case("DescribeDBClusters"), "describe_db_clusters");
    }

    /// All that functions, shared code and drctl are written in.
    fn sources() -> String {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut folders: Vec<std::path::PathBuf> = ["functions", "shared/src", "cli/src"]
            .iter()
            .map(|folder| format!("{root}/{folder}").into())
            .collect();
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    text += &std::fs::read_to_string(path).unwrap();
                }
            }
        }
        text
    }

    fn snake_case(name: &str) -> String {
        let letters: Vec<char> = name.chars().collect();
        let mut text = String::new();
        for (at, letter) in letters.iter().enumerate() {
            let begins = letter.is_uppercase()
                && at > 0
                && (letters[at - 1].is_lowercase() || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
            if begins {
                text.push('_');
            }
            text.extend(letter.to_lowercase());
        }
        text
    }

    #[test]
    fn an_operation_that_is_not_in_the_table_is_an_error() {
        let why = refused(&touched(
            "rds",
            "DeleteGlobalCluster",
            [resource("arn:aws:rds::1:global-cluster:g")],
        ));
        assert!(why.starts_with("rds:DeleteGlobalCluster by Code is not in"), "{why}");
    }

    #[test]
    fn what_is_not_known_to_be_touched_is_an_error() {
        let unknown = Touched {
            resources: Err("lambda:(unknown) touches nothing that is known".to_owned()),
            ..touched("lambda", "(unknown)", [])
        };
        assert_eq!(refused(&unknown), "lambda:(unknown) touches nothing that is known");
        let nothing = refused(&touched("dynamodb", "GetItem", []));
        assert!(nothing.contains("takes dynamodb:GetItem on"), "{nothing}");
    }

    #[test]
    fn a_transaction_takes_the_actions_of_its_items_and_no_other() {
        let table = format!("arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/records");
        let transaction = |parts: &[Resource]| touched("dynamodb", "TransactWriteItems", parts.to_vec());
        let needed = needs(&transaction(&[
            part("PutItem", &table),
            part("ConditionCheckItem", &table),
        ]));
        assert_eq!(
            needed,
            [
                pair("dynamodb:ConditionCheckItem", &table),
                pair("dynamodb:PutItem", &table)
            ]
        );
        let why = refused(&transaction(&[part("GetItem", &table)]));
        assert!(why.contains("for which the table has no action"), "{why}");
        let unkeyed = Resource {
            part: Some("PutItem"),
            ..resource(&table)
        };
        let why = refused(&transaction(&[unkeyed]));
        assert!(why.contains("has no value for dynamodb:LeadingKeys"), "{why}");
    }

    #[test]
    fn a_statement_takes_the_secret_too() {
        let cluster = format!("arn:aws:rds:us-west-2:{ACCOUNT}:cluster:radiant");
        let secret = format!("arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:rds/radiant-Ab3dEf");
        let statement = touched("rds-data", "ExecuteStatement", [resource(&cluster), resource(&secret)]);
        let expected = [
            pair("rds-data:ExecuteStatement", &cluster),
            pair("secretsmanager:GetSecretValue", &secret),
        ];
        assert_eq!(needs(&statement), expected);
        let why = refused(&touched("rds-data", "ExecuteStatement", [resource(&cluster)]));
        assert!(why.contains("says nothing of ${SecretId}"), "{why}");
    }

    #[test]
    fn a_failover_takes_the_global_database_and_its_clusters() {
        let global = format!("arn:aws:rds::{ACCOUNT}:global-cluster:g");
        let clusters = ["us-east-1", "us-west-2"].map(|region| format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:c"));
        let all = [&global, &clusters[0], &clusters[1]];
        let needed = needs(&touched("rds", "FailoverGlobalCluster", all.map(|arn| resource(arn))));
        assert_eq!(needed, all.map(|arn| pair("rds:FailoverGlobalCluster", arn)));
        let why = refused(&touched("rds", "FailoverGlobalCluster", [resource(&global)]));
        assert!(why.contains("touched nothing like it"), "{why}");
    }

    #[test]
    fn to_look_for_an_object_takes_its_bucket_and_an_object_is_no_bucket() {
        let (object, bucket) = ("arn:aws:s3:::shelf/a/b:c", "arn:aws:s3:::shelf");
        let expected = [pair("s3:GetObject", object), pair("s3:ListBucket", bucket)];
        assert_eq!(
            needs(&touched("s3", "HeadObject", [resource(object), resource(bucket)])),
            expected
        );
        // The bucket follows from the object.
        assert_eq!(needs(&touched("s3", "HeadObject", [resource(object)])), expected);
        assert_eq!(
            needs(&touched("s3", "PutObject", [resource(object)])),
            [pair("s3:PutObject", object)]
        );
        let why = refused(&touched("s3", "PutObject", [resource(bucket)]));
        assert!(why.contains("touched nothing like it"), "{why}");
    }

    #[test]
    fn a_condition_key_comes_with_its_value_or_is_an_error() {
        let mut metric = resource(ANY);
        metric
            .conditions
            .insert("cloudwatch:namespace", BTreeSet::from(["Shop".to_owned()]));
        let required = required(&touched("monitoring", "PutMetricData", [metric]), &operations()).unwrap();
        let conditions = BTreeMap::from([("cloudwatch:namespace".to_owned(), BTreeSet::from(["Shop".to_owned()]))]);
        assert_eq!((required.len(), &required[0].conditions), (1, &conditions));
        assert_eq!(
            (required[0].action.as_str(), required[0].resource.as_str()),
            ("cloudwatch:PutMetricData", "*")
        );
        let why = refused(&touched("monitoring", "PutMetricData", [resource(ANY)]));
        assert!(why.contains("has no value for cloudwatch:namespace"), "{why}");
    }

    #[test]
    fn a_stage_is_allowed_by_the_method() {
        let stage = "arn:aws:apigateway:us-west-2::/restapis/abc/stages/v2";
        assert_eq!(
            needs(&touched("apigateway", "GetStage", [resource(stage)])),
            [pair("apigateway:GET", stage)]
        );
        assert_eq!(
            needs(&touched("apigateway", "UpdateStage", [resource(stage)])),
            [pair("apigateway:PATCH", stage)]
        );
    }

    #[test]
    fn whoever_invokes_needs_what_its_kind_needs() {
        let function = format!("arn:aws:lambda:us-west-2:{ACCOUNT}:function:f:1");
        let machine = format!("arn:aws:states:us-west-2:{ACCOUNT}:stateMachine:m");
        let needs = |by: InvokedBy, how: &str, target: &str| {
            let invoked = Invoked {
                by,
                how: how.to_owned(),
                target_arn: target.to_owned(),
            };
            let required = required_to_invoke(&invoked, &operations()).unwrap();
            required
                .into_iter()
                .map(|one| (one.action, one.resource))
                .collect::<Vec<_>>()
        };
        let text = str::to_owned;
        let invoke = pair("lambda:InvokeFunction", &function);
        for by in [
            InvokedBy::Machine(text("m")),
            InvokedBy::Rule(text("r")),
            InvokedBy::Schedule(text("s")),
        ] {
            assert_eq!(needs(by, "lambda:invoke", &function), std::slice::from_ref(&invoke));
        }
        let through_url = needs(InvokedBy::Url(text("u")), "lambda:invokeFunctionUrl", &function);
        assert_eq!(through_url, [invoke, pair("lambda:InvokeFunctionUrl", &function)]);
        let version = format!("{machine}:7");
        let waits = needs(InvokedBy::Machine(text("m")), "states:startExecution.sync:2", &version);
        let execution = format!("arn:aws:states:us-west-2:{ACCOUNT}:execution:m:*");
        let rule =
            format!("arn:aws:events:us-west-2:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule");
        let expected = [
            pair("events:DescribeRule", &rule),
            pair("events:PutRule", &rule),
            pair("events:PutTargets", &rule),
            pair("states:DescribeExecution", &execution),
            pair("states:StartExecution", &machine),
            pair("states:StartExecution", &version),
            pair("states:StopExecution", &execution),
        ];
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_table_with_a_typing_error_is_refused() {
        let why = read("- { service: s, operation: o, actions: [], sauce: s }").unwrap_err();
        assert!(why.contains("sauce"), "{why}");
    }
}
