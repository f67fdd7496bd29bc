//! The template of the stack, as CloudFormation would make it in a Region: AWS's own code does the SAM transform, and
//! parameters, conditions and references are put in here. What the template does not name gets a name of our own, as it
//! would get one of CloudFormation's.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

/// What `make tools` installs.
const TOOLS: &str = "infra/.venv/bin";

/// What is deployed in either Region, from the project's root.
pub const TEMPLATE: &str = "infra/template.yaml";

/// The stack in one Region.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The Region.
    pub region: String,
    /// The resources whose condition holds, by their logical names.
    pub resources: BTreeMap<String, Resource>,
    /// What it tells: name and value.
    pub outputs: BTreeMap<String, Value>,
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its type, such as `AWS::Lambda::Function`.
    pub kind: String,
    /// Its properties, with everything put in.
    pub properties: Value,
    /// Its ARN; its name where its type has none.
    pub arn: String,
    /// What becomes of it when it leaves the stack; deleted, if that is not said.
    pub deletion_policy: Option<String>,
    /// What becomes of it when another one takes its place; likewise.
    pub update_replace_policy: Option<String>,
}

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command of the tools that the project installs. Panics, with what to do, if they are not installed.
pub fn tool(name: &str) -> Command {
    let program = root().join(TOOLS).join(name);
    assert!(
        program.exists(),
        "{} is missing; run `make tools`, which `make test` does",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_DEFAULT_REGION", "us-east-1");
    command
}

impl Stack {
    /// The stack of `infra/template.yaml` in a Region. Errors: a text, if the transform refuses the template, or if it uses
    /// what is not understood here.
    pub fn render(account: &str, region: &str, parameters: &BTreeMap<String, String>) -> Result<Self, String> {
        let template = transformed(&root().join(TEMPLATE), region, parameters)?;
        Self::of(&template, account, region, parameters)
    }

    /// The stack of a template that has gone through the transform.
    pub fn of(
        template: &Value,
        account: &str,
        region: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let mut context = Context {
            template,
            account,
            region,
            parameters: values(template, parameters)?,
            conditions: BTreeMap::new(),
        };
        for (name, condition) in fields(template, "Conditions") {
            let holds = context.condition(condition)?;
            context.conditions.insert(name.clone(), holds);
        }
        let mut resources = BTreeMap::new();
        for (name, resource) in fields(template, "Resources") {
            if !context.exists(resource)? {
                continue;
            }
            let properties = context.value(&resource["Properties"])?.unwrap_or(Value::Null);
            let identity = context.identity(name)?;
            let policy = |field: &str| resource[field].as_str().map(str::to_owned);
            resources.insert(
                name.clone(),
                Resource {
                    kind: kind(resource).to_owned(),
                    properties,
                    arn: identity.arn().to_owned(),
                    deletion_policy: policy("DeletionPolicy"),
                    update_replace_policy: policy("UpdateReplacePolicy"),
                },
            );
        }
        let mut outputs = BTreeMap::new();
        for (name, output) in fields(template, "Outputs") {
            if context.exists(output)? {
                outputs.insert(name.clone(), context.value(&output["Value"])?.unwrap_or(Value::Null));
            }
        }
        Ok(Self {
            region: region.to_owned(),
            resources,
            outputs,
        })
    }

    /// The resources of a type, by their logical names.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Resource)> {
        let all = self.resources.iter().filter(move |(_, resource)| resource.kind == kind);
        all.map(|(name, resource)| (name.as_str(), resource))
    }

    /// A resource. Panics if there is none of that name.
    pub fn resource(&self, name: &str) -> &Resource {
        let found = self.resources.get(name);
        found.unwrap_or_else(|| panic!("the stack in {} has no {name}", self.region))
    }
}

/// A template's file after the SAM transform.
pub fn transformed(template: &Path, region: &str, parameters: &BTreeMap<String, String>) -> Result<Value, String> {
    let mut transform = tool("python")
        .arg("tests/template/transform.py")
        .arg(template)
        .arg(region)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = transform.stdin.take().ok_or("the transform takes no input")?;
    let given = input.write_all(json!(parameters).to_string().as_bytes());
    drop(input);
    let output = transform.wait_with_output().map_err(|error| error.to_string())?;
    given.map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The values of the template's parameters, each as its type has it.
fn values(template: &Value, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, String> {
    let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(format!("the template has no parameter {unknown}"));
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in &declared {
        let default = parameter.get("Default").map(text);
        let value = given.get(name).cloned().or(default);
        let value = value.ok_or_else(|| format!("parameter {name} has no value"))?;
        let allowed = parameter["AllowedValues"].as_array();
        if allowed.is_some_and(|allowed| !allowed.iter().any(|one| text(one) == value)) {
            return Err(format!("parameter {name} cannot be {value}"));
        }
        let value = match parameter["Type"].as_str() {
            // "CloudFormation validates the parameter value as a number" (User Guide, Parameters).
            Some("Number") if value.parse::<f64>().is_err() => {
                return Err(format!("parameter {name} must be a number, not '{value}'"));
            }
            Some("String" | "Number") => json!(value),
            Some("CommaDelimitedList") => value.split(',').map(|part| json!(part.trim())).collect(),
            other => {
                return Err(format!(
                    "parameter {name} is of type {other:?}, which is not understood here"
                ));
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn fields<'a>(template: &'a Value, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    template[section].as_object().into_iter().flatten()
}

fn kind(resource: &Value) -> &str {
    resource["Type"].as_str().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a resource is called: what `Ref` gives, and what `Fn::GetAtt` gives.
struct Identity {
    reference: String,
    attributes: BTreeMap<&'static str, String>,
}

impl Identity {
    fn arn(&self) -> &str {
        self.attributes.get("Arn").unwrap_or(&self.reference)
    }
}

struct Context<'a> {
    template: &'a Value,
    account: &'a str,
    region: &'a str,
    parameters: BTreeMap<String, Value>,
    conditions: BTreeMap<String, bool>,
}

impl Context<'_> {
    fn exists(&self, resource: &Value) -> Result<bool, String> {
        match resource.get("Condition") {
            None => Ok(true),
            Some(name) => self.named_condition(name),
        }
    }

    fn named_condition(&self, name: &Value) -> Result<bool, String> {
        let name = name.as_str().unwrap_or_default();
        if let Some(holds) = self.conditions.get(name) {
            return Ok(*holds);
        }
        let condition = self.template.pointer(&format!("/Conditions/{name}"));
        self.condition(condition.ok_or_else(|| format!("there is no condition {name}"))?)
    }

    fn condition(&self, condition: &Value) -> Result<bool, String> {
        let (function, argument) = only_field(condition).ok_or_else(|| format!("no condition: {condition}"))?;
        let each = || -> Result<Vec<bool>, String> {
            let arguments = argument.as_array().into_iter().flatten();
            arguments.map(|argument| self.condition(argument)).collect()
        };
        match function {
            "Condition" => self.named_condition(argument),
            "Fn::Not" => Ok(!each()?.contains(&true)),
            "Fn::And" => Ok(!each()?.contains(&false)),
            "Fn::Or" => Ok(each()?.contains(&true)),
            "Fn::Equals" => match argument.as_array().map(Vec::as_slice) {
                Some([left, right]) => {
                    let (left, right) = (self.value(left)?, self.value(right)?);
                    Ok(left.as_ref().map(text) == right.as_ref().map(text))
                }
                _ => Err(format!("no two values: {argument}")),
            },
            other => Err(format!("{other} is not understood in a condition")),
        }
    }

    /// A value with everything put in; nothing for `AWS::NoValue`.
    fn value(&self, value: &Value) -> Result<Option<Value>, String> {
        match value {
            Value::Array(items) => {
                let mut all = Vec::new();
                for item in items {
                    all.extend(self.value(item)?);
                }
                Ok(Some(Value::Array(all)))
            }
            Value::Object(fields) => match only_field(value) {
                Some((function, argument)) if function == "Ref" || function.starts_with("Fn::") => {
                    self.function(function, argument)
                }
                _ => {
                    let mut all = Map::new();
                    for (name, field) in fields {
                        if let Some(field) = self.value(field)? {
                            all.insert(name.clone(), field);
                        }
                    }
                    Ok(Some(Value::Object(all)))
                }
            },
            plain => Ok(Some(plain.clone())),
        }
    }

    fn function(&self, function: &str, argument: &Value) -> Result<Option<Value>, String> {
        let arguments = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (function, arguments) {
            ("Ref", _) => self.reference(argument.as_str().unwrap_or_default()),
            ("Fn::GetAtt", [resource, attribute]) => self
                .attribute(&text(resource), &text(attribute))
                .map(|value| Some(json!(value))),
            ("Fn::Sub", []) => self
                .substituted(&text(argument), &Map::new())
                .map(|text| Some(json!(text))),
            ("Fn::Sub", [text_with_holes, variables]) => {
                let variables = self.value(variables)?.unwrap_or_default();
                let variables = variables.as_object().cloned().unwrap_or_default();
                let filled = self.substituted(&text(text_with_holes), &variables);
                filled.map(|text| Some(json!(text)))
            }
            ("Fn::If", [condition, then, otherwise]) => {
                let holds = self.named_condition(condition)?;
                self.value(if holds { then } else { otherwise })
            }
            ("Fn::Join", [delimiter, list]) => {
                let list = self.value(list)?.unwrap_or_default();
                let list: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
                Ok(Some(json!(list.join(&text(delimiter)))))
            }
            _ => Err(format!("{function} of {argument} is not understood here")),
        }
    }

    fn reference(&self, name: &str) -> Result<Option<Value>, String> {
        Ok(Some(match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::AccountId" => json!(self.account),
            "AWS::Region" => json!(self.region),
            "AWS::Partition" => json!("aws"),
            name => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => json!(self.identity(name)?.reference),
            },
        }))
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<String, String> {
        let found = self.identity(resource)?.attributes.remove(attribute);
        found.ok_or_else(|| format!("{resource}.{attribute} is not understood here"))
    }

    /// `${Name}` and `${Name.Attribute}` put in; `${!Name}` stays, without its mark.
    fn substituted(&self, text_with_holes: &str, variables: &Map<String, Value>) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text_with_holes;
        while let Some((before, hole)) = rest.split_once("${") {
            let (name, after) = hole
                .split_once('}')
                .ok_or_else(|| format!("a hole has no end: {hole}"))?;
            filled.push_str(before);
            match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => filled.push_str(&format!("${{{literal}}}")),
                (None, Some((resource, attribute))) => filled.push_str(&self.attribute(resource, attribute)?),
                (None, None) => match variables.get(name) {
                    Some(value) => filled.push_str(&text(value)),
                    None => filled.push_str(&self.reference(name)?.as_ref().map(text).unwrap_or_default()),
                },
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn identity(&self, name: &str) -> Result<Identity, String> {
        let resource = &self.template["Resources"][name];
        let properties = &resource["Properties"];
        let (account, region) = (self.account, self.region);
        let named = |property: &str| -> Result<String, String> {
            let value = self.value(&properties[property])?.unwrap_or_default();
            Ok(value.as_str().map_or_else(|| name.to_owned(), str::to_owned))
        };
        let plain = |reference: String| Identity {
            reference,
            attributes: BTreeMap::new(),
        };
        let with_arn = |reference: String, arn: String| Identity {
            reference,
            attributes: BTreeMap::from([("Arn", arn)]),
        };
        let only_arn = |arn: String| with_arn(arn.clone(), arn);
        let function_arn = |property: &str| -> Result<String, String> {
            let function = properties[property].get("Ref").and_then(Value::as_str);
            let function = function.ok_or_else(|| format!("{name} names no function of the template"))?;
            self.attribute(function, "Arn")
        };
        let identity = match kind(resource) {
            "AWS::Lambda::Function" => {
                let function = named("FunctionName")?;
                let arn = format!("arn:aws:lambda:{region}:{account}:function:{function}");
                with_arn(function, arn)
            }
            "AWS::Lambda::Version" => {
                let mut version = only_arn(format!("{}:1", function_arn("FunctionName")?));
                version.attributes.insert("Version", "1".to_owned());
                version
            }
            "AWS::Lambda::Alias" => only_arn(format!("{}:{}", function_arn("FunctionName")?, named("Name")?)),
            "AWS::Lambda::Url" => Identity {
                reference: name.to_owned(),
                attributes: BTreeMap::from([("FunctionUrl", format!("https://rehearsed.lambda-url.{region}.on.aws/"))]),
            },
            "AWS::IAM::Role" => with_arn(name.to_owned(), format!("arn:aws:iam::{account}:role/{name}")),
            "AWS::IAM::ManagedPolicy" => only_arn(format!("arn:aws:iam::{account}:policy/{name}")),
            "AWS::Logs::LogGroup" => {
                let group = named("LogGroupName")?;
                let arn = format!("arn:aws:logs:{region}:{account}:log-group:{group}:*");
                with_arn(group, arn)
            }
            "AWS::DynamoDB::Table" => {
                let table = named("TableName")?;
                let arn = format!("arn:aws:dynamodb:{region}:{account}:table/{table}");
                with_arn(table, arn)
            }
            "AWS::S3::Bucket" => {
                let bucket = named("BucketName")?;
                let arn = format!("arn:aws:s3:::{bucket}");
                let domain = format!("{bucket}.s3.{region}.amazonaws.com");
                let mut identity = with_arn(bucket, arn);
                identity.attributes.insert("RegionalDomainName", domain);
                identity
            }
            "AWS::Route53::HealthCheck" => plain(format!("health-check/{name}")),
            "AWS::KMS::Key" => with_arn(name.to_owned(), format!("arn:aws:kms:{region}:{account}:key/{name}")),
            "AWS::SNS::Topic" => only_arn(format!("arn:aws:sns:{region}:{account}:{}", named("TopicName")?)),
            "AWS::SQS::Queue" => {
                let queue = named("QueueName")?;
                let mut identity = with_arn(
                    format!("queue/{queue}"),
                    format!("arn:aws:sqs:{region}:{account}:{queue}"),
                );
                identity.attributes.insert("QueueName", queue);
                identity
            }
            "AWS::StepFunctions::StateMachine" => {
                let name = named("StateMachineName")?;
                let mut machine = only_arn(format!("arn:aws:states:{region}:{account}:stateMachine:{name}"));
                machine
                    .attributes
                    .insert("StateMachineRevisionId", "INITIAL".to_owned());
                machine
            }
            "AWS::StepFunctions::StateMachineVersion" => only_arn(format!("{}:1", named("StateMachineArn")?)),
            "AWS::Events::Rule" => {
                let rule = named("Name")?;
                let arn = format!("arn:aws:events:{region}:{account}:rule/{rule}");
                with_arn(rule, arn)
            }
            "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm" => {
                let alarm = named("AlarmName")?;
                let arn = format!("arn:aws:cloudwatch:{region}:{account}:alarm:{alarm}");
                with_arn(alarm, arn)
            }
            "AWS::Scheduler::Schedule" => {
                let schedule = named("Name")?;
                let arn = format!("arn:aws:scheduler:{region}:{account}:schedule/default/{schedule}");
                with_arn(schedule, arn)
            }
            "AWS::CloudWatch::Dashboard"
            | "AWS::Lambda::EventInvokeConfig"
            | "AWS::Lambda::Permission"
            | "AWS::S3::BucketPolicy"
            | "AWS::SNS::TopicPolicy"
            | "AWS::SQS::QueuePolicy" => plain(name.to_owned()),
            "" => return Err(format!("the template has neither a parameter nor a resource {name}")),
            other => {
                return Err(format!(
                    "{name} is of type {other}; say in tests/src/template.rs how such a resource is called"
                ));
            }
        };
        Ok(identity)
    }
}

/// The name and the value of an object's only field.
fn only_field(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Value {
        json!({
            "Parameters": {
                "Prefix": { "Type": "String" },
                "Names": { "Type": "CommaDelimitedList", "Default": "" },
                "Days": { "Type": "Number", "Default": 0 },
            },
            "Conditions": {
                "HasNames": { "Fn::Not": [{ "Fn::Equals": [{ "Fn::Join": ["", { "Ref": "Names" }] }, ""] }] },
                "HasDays": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Days" }, 0] }] },
            },
            "Resources": {
                "Works": { "Type": "AWS::Lambda::Function", "Properties": { "FunctionName": { "Fn::Sub": "${Prefix}works" } } },
                "WorksVersion": { "Type": "AWS::Lambda::Version", "Properties": { "FunctionName": { "Ref": "Works" } } },
                "May": {
                    "Type": "AWS::IAM::Role",
                    "Condition": "HasNames",
                    "Properties": {
                        "All": { "Ref": "Names" },
                        "Some": [{ "Fn::If": ["HasDays", "days", { "Ref": "AWS::NoValue" }] }, "always"],
                        "Text": { "Fn::Sub": "${Works.Arn} in ${AWS::Region}, ${!Kept}" },
                        "Version": { "Ref": "WorksVersion" },
                    },
                },
            },
        })
    }

    fn stack(parameters: &[(&str, &str)]) -> Result<Stack, String> {
        let parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Stack::of(&template(), "1", "us-west-2", &parameters.collect())
    }

    #[test]
    fn everything_is_put_in() {
        let stack = stack(&[("Prefix", "shop-"), ("Names", "a,b")]).unwrap();
        assert_eq!(
            stack.resource("May").properties,
            json!({
                "All": ["a", "b"],
                "Some": ["always"],
                "Text": "arn:aws:lambda:us-west-2:1:function:shop-works in us-west-2, ${Kept}",
                "Version": "arn:aws:lambda:us-west-2:1:function:shop-works:1",
            })
        );
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let stack = stack(&[("Prefix", "")]).unwrap();
        assert!(!stack.resources.contains_key("May"));
        assert_eq!(stack.resource("Works").arn, "arn:aws:lambda:us-west-2:1:function:works");
    }

    #[test]
    fn a_parameter_too_many_or_too_few_is_said() {
        assert_eq!(stack(&[]).unwrap_err(), "parameter Prefix has no value");
        let unknown = stack(&[("Prefix", ""), ("More", "")]).unwrap_err();
        assert_eq!(unknown, "the template has no parameter More");
    }

    #[test]
    fn a_number_is_one() {
        let wrong = stack(&[("Prefix", ""), ("Days", "")]).unwrap_err();
        assert_eq!(wrong, "parameter Days must be a number, not ''");
        assert!(stack(&[("Prefix", ""), ("Days", "7")]).is_ok());
    }
}
