//! Every class of defect, planted one at a time into a machine that loads.

use std::collections::BTreeMap;

use crate::common::{definition, load, task};
use serde_json::{Value, json};
use states_language::{Integration, LoadError, MapMode, StateKind, StateMachine};

fn good() -> Value {
    json!({
        "Comment": "a machine with everything", "QueryLanguage": "JSONata", "Version": "1.0", "TimeoutSeconds": 3600, "StartAt": "T",
        "States": {
            "T": {"Type": "Task", "Comment": "c", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Arguments": {"a": ["{% $states.input.x %}"]},
                "TimeoutSeconds": 60, "HeartbeatSeconds": 10, "Assign": {"v": "{% $states.result %}"}, "Output": "{% $states.result %}",
                "Retry": [{"Comment": "c", "ErrorEquals": ["A"], "IntervalSeconds": 2, "MaxAttempts": 5, "BackoffRate": 1.5, "MaxDelaySeconds": 20, "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.ALL"]}],
                "Catch": [{"Comment": "c", "ErrorEquals": ["B", "States.Timeout"], "Next": "F", "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Output": {}}, {"ErrorEquals": ["States.ALL"], "Next": "F"}],
                "Next": "C"},
            "C": {"Type": "Choice", "Choices": [{"Comment": "c", "Condition": "{% $v = 1 %}", "Next": "W", "Assign": {"r": 1}, "Output": 1}], "Default": "P"},
            "W": {"Type": "Wait", "Seconds": 5, "Next": "P"},
            "P": {"Type": "Parallel", "Next": "M", "Arguments": {}, "Branches": [
                {"Comment": "c", "StartAt": "B0", "States": {"B0": {"Type": "Pass", "Assign": {"inner": "{% $v %}"}, "End": true}}},
                {"StartAt": "B1", "States": {"B1": {"Type": "Succeed"}}}]},
            "M": {"Type": "Map", "Next": "D", "Items": [1, 2], "MaxConcurrency": 3, "ItemSelector": "{% $states.context.Map.Item.Value %}",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $v %}", "End": true}}}},
            "D": {"Type": "Map", "End": true, "Label": "sweep", "ToleratedFailurePercentage": 5, "ToleratedFailureCount": 3,
                "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Arguments": {"Bucket": "b", "Key": "k"}, "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": 5}},
                "ItemBatcher": {"MaxItemsPerBatch": 10, "BatchInput": {"v": "{% $v %}"}}, "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}, "WriterConfig": {"OutputType": "JSONL"}},
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "X", "States": {"X": {"Type": "Pass", "Assign": {"only": 1}, "End": true}}}},
            "F": {"Type": "Fail", "Error": "{% $e %}", "Cause": "c"}
        }
    })
}

/// Where the value at a JSON pointer is replaced, or with null taken away.
fn planted(pointer: &str, value: Value) -> Vec<LoadError> {
    let mut machine = good();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = machine.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, value) {
        (Value::Object(object), Value::Null) => drop(object.remove(key)),
        (Value::Object(object), value) => drop(object.insert(key.to_owned(), value)),
        (Value::Array(array), value) => array[key.parse::<usize>().expect("an index")] = value,
        _ => panic!("{pointer}"),
    }
    load(&machine).err().map(|errors| errors.0).unwrap_or_default()
}

#[test]
fn the_good_machine_loads() {
    let machine = load(&good()).unwrap_or_else(|e| panic!("{e}"));
    let paths: Vec<&str> = machine.states().iter().map(|s| s.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "C",
            "D",
            "D.item.X",
            "F",
            "M",
            "M.item.I",
            "P",
            "P.branch[0].B0",
            "P.branch[1].B1",
            "T",
            "W"
        ]
    );
    assert_eq!(
        (machine.name(), machine.comment(), machine.timeout_seconds()),
        ("m", Some("a machine with everything"), Some(3600))
    );
    let t = machine.state("T").expect("T");
    let task = t.as_task().expect("a Task");
    assert_eq!(task.integration, Integration::WaitForTaskToken);
    assert_eq!(task.timeout_seconds.as_ref().and_then(|s| s.as_u64()), Some(60));
    assert_eq!(
        (t.type_name(), t.next(), t.successors()),
        ("Task", Some("C"), vec!["C", "F", "F"])
    );
    assert_eq!(
        (t.retry[0].max_attempts, t.retry[0].full_jitter, t.retry[1].max_attempts),
        (5, true, 3)
    );
    assert_eq!(t.catch[1].error_equals, ["States.ALL"]);
    assert_eq!(t.assigned_variables(), ["v", "e"]);
    assert_eq!(
        t.expressions[0],
        ("Arguments/a[0]".to_owned(), "$states.input.x".to_owned())
    );
    assert_eq!(machine.state("C").expect("C").successors(), ["W", "P"]);
    assert!(machine.state("F").expect("F").is_terminal() && !t.is_terminal());
    let StateKind::Map(map) = &machine.state("D").expect("D").kind else {
        panic!()
    };
    assert!(matches!(map.mode, MapMode::Distributed(_)));
    assert_eq!(map.processor.start_at, "X");
    assert_eq!(machine.state("P").expect("P").nested()[1].start_at, "B1");
}

#[test]
fn every_planted_defect_is_found_where_it_is() {
    let cases: Vec<(&str, Value, &str, &str, &str)> = vec![
        // pointer, value, state, field, message
        (
            "/QueryLanguage",
            json!("JSONPath"),
            "",
            "QueryLanguage",
            "must be \"JSONata\"",
        ),
        (
            "/QueryLanguage",
            Value::Null,
            "",
            "QueryLanguage",
            "without it the language is JSONPath",
        ),
        ("/Version", json!("2.0"), "", "Version", "1.0"),
        ("/TimeoutSeconds", json!(0), "", "TimeoutSeconds", "from 1 to"),
        ("/StartAt", Value::Null, "", "StartAt", "is missing"),
        ("/StartAt", json!("Nope"), "", "StartAt", "there is no state `Nope`"),
        ("/States", Value::Null, "", "States", "is missing"),
        ("/States", json!({}), "", "States", "no states"),
        ("/Extra", json!(1), "", "Extra", "no known field"),
        ("/States/T/Next", json!("Nope"), "T", "Next", "there is no state `Nope`"),
        (
            "/States/C/Default",
            json!("Nope"),
            "C",
            "Default",
            "there is no state `Nope`",
        ),
        (
            "/States/C/Choices/0/Next",
            json!("B0"),
            "C",
            "Choices[0]/Next",
            "there is no state `B0`",
        ),
        (
            "/States/T/Catch/1/Next",
            json!("Nope"),
            "T",
            "Catch[1]/Next",
            "there is no state `Nope`",
        ),
        (
            "/States/P/Branches/0/StartAt",
            json!("T"),
            "P.branch[0]",
            "StartAt",
            "there is no state `T`",
        ),
        (
            "/States/Alone",
            json!({"Type": "Succeed"}),
            "Alone",
            "",
            "cannot be reached from `T`",
        ),
        (
            "/States/P/Branches/1/States/B2",
            json!({"Type": "Succeed"}),
            "P.branch[1].B2",
            "",
            "cannot be reached from `B1`",
        ),
        (
            "/States/P/Branches/1/States",
            json!({"B1": {"Type": "Pass", "Next": "B1"}}),
            "P.branch[1]",
            "States",
            "no terminal state",
        ),
        (
            "/States/P/Branches/1",
            json!({"StartAt": "W", "States": {"W": {"Type": "Succeed"}}}),
            "P.branch[1].W",
            "",
            "the name is taken",
        ),
        (
            "/States/T/Type",
            json!("Activity"),
            "T",
            "Type",
            "there is no type `Activity`",
        ),
        ("/States/T/Type", Value::Null, "T", "Type", "is missing"),
        ("/States/T/Type", json!(3), "T", "Type", "must be a string"),
        ("/States/T", json!("x"), "T", "", "must be an object"),
        (
            "/States/T/QueryLanguage",
            json!("JSONPath"),
            "T",
            "QueryLanguage",
            "must be \"JSONata\"",
        ),
        ("/States/T/Parameters", json!({}), "T", "Parameters", "JSONPath"),
        ("/States/T/InputPath", json!("$"), "T", "InputPath", "JSONPath"),
        ("/States/T/OutputPath", json!("$"), "T", "OutputPath", "JSONPath"),
        ("/States/T/ResultPath", json!("$"), "T", "ResultPath", "JSONPath"),
        ("/States/T/ResultSelector", json!({}), "T", "ResultSelector", "JSONPath"),
        (
            "/States/T/TimeoutSecondsPath",
            json!("$"),
            "T",
            "TimeoutSecondsPath",
            "JSONPath",
        ),
        ("/States/M/ItemsPath", json!("$"), "M", "ItemsPath", "JSONPath"),
        (
            "/States/C/Choices/0/Variable",
            json!("$.x"),
            "C",
            "Choices[0]/Variable",
            "JSONPath",
        ),
        (
            "/States/T/Arguments",
            json!({"id.$": "x"}),
            "T",
            "Arguments/id.$",
            "JSONPath",
        ),
        (
            "/States/T/Arguments",
            json!({"id": "$.x"}),
            "T",
            "Arguments/id",
            "looks like a path",
        ),
        (
            "/States/T/TimeoutSecond",
            json!(1),
            "T",
            "TimeoutSecond",
            "no known field",
        ),
        ("/States/W/Retry", json!([]), "W", "Retry", "no known field"),
        ("/States/F/Next", json!("C"), "F", "Next", "no known field"),
        ("/States/T/Credentials", json!({}), "T", "Credentials", "not supported"),
        (
            "/States/T/Resource",
            json!("arn:aws:states:eu-west-1:1:activity:a.waitForTaskToken"),
            "T",
            "Resource",
            "activities",
        ),
        (
            "/States/T/Resource",
            json!("arn:aws:states:::lambda:invoke"),
            "T",
            "HeartbeatSeconds",
            "no effect without",
        ),
        (
            "/States/T/Resource",
            json!("{% 'arn' %}"),
            "T",
            "Resource",
            "must be constant",
        ),
        ("/States/T/Resource", Value::Null, "T", "Resource", "is missing"),
        (
            "/States/T/TimeoutSeconds",
            json!("60"),
            "T",
            "TimeoutSeconds",
            "whole number",
        ),
        (
            "/States/T/TimeoutSeconds",
            json!(1.5),
            "T",
            "TimeoutSeconds",
            "whole number",
        ),
        (
            "/States/T/HeartbeatSeconds",
            json!(60),
            "T",
            "HeartbeatSeconds",
            "smaller than TimeoutSeconds",
        ),
        ("/States/T/Next", Value::Null, "T", "Next", "is missing, and so is"),
        ("/States/T/End", json!(true), "T", "Next", "not both"),
        ("/States/M/Items", json!({"a": 1}), "M", "Items", "array"),
        ("/States/M/Iterator", json!({}), "M", "Iterator", "ItemProcessor"),
        (
            "/States/M/ItemProcessor",
            Value::Null,
            "M",
            "ItemProcessor",
            "is missing",
        ),
        (
            "/States/M/Label",
            json!("l"),
            "M",
            "Label",
            "only for a distributed Map",
        ),
        (
            "/States/M/ItemReader",
            json!({}),
            "M",
            "ItemReader",
            "only for a distributed Map",
        ),
        (
            "/States/M/ItemProcessor/ProcessorConfig/Mode",
            json!("BOTH"),
            "M",
            "ItemProcessor/ProcessorConfig/Mode",
            "INLINE or DISTRIBUTED",
        ),
        (
            "/States/M/ItemProcessor/ProcessorConfig/ExecutionType",
            json!("STANDARD"),
            "M",
            "ItemProcessor/ProcessorConfig/ExecutionType",
            "only for Mode DISTRIBUTED",
        ),
        (
            "/States/D/ItemProcessor/ProcessorConfig/ExecutionType",
            Value::Null,
            "D",
            "ItemProcessor/ProcessorConfig/ExecutionType",
            "STANDARD or EXPRESS",
        ),
        (
            "/States/D/ItemProcessor/ProcessorConfig/Extra",
            json!(1),
            "D",
            "ItemProcessor/ProcessorConfig/Extra",
            "no known field",
        ),
        (
            "/States/D/Items",
            json!([]),
            "D",
            "Items",
            "either `Items` or `ItemReader`",
        ),
        ("/States/D/Label", json!("with space"), "D", "Label", "characters"),
        (
            "/States/D/ToleratedFailurePercentage",
            json!(101),
            "D",
            "ToleratedFailurePercentage",
            "from 0 to 100",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/Colour",
            json!(1),
            "D",
            "ItemReader/ReaderConfig/Colour",
            "no known field",
        ),
        (
            "/States/D/ItemReader/Resource",
            json!("arn:aws:states:::dynamodb:scan"),
            "D",
            "ItemReader/Resource",
            "s3:getObject or s3:listObjectsV2",
        ),
        (
            "/States/D/ItemReader/Arguments/Key",
            Value::Null,
            "D",
            "ItemReader/Arguments/Key",
            "is missing",
        ),
        (
            "/States/D/ItemReader/Arguments/ExpectedBucketOwner",
            json!("1"),
            "D",
            "ItemReader/Arguments/ExpectedBucketOwner",
            "not supported",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/InputType",
            json!("PARQUET"),
            "D",
            "ItemReader/ReaderConfig/InputType",
            "PARQUET",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/InputType",
            Value::Null,
            "D",
            "ItemReader/ReaderConfig/InputType",
            "is missing",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/ItemsPointer",
            json!("/a"),
            "D",
            "ItemReader/ReaderConfig/ItemsPointer",
            "no known field",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/MaxItemsPath",
            json!("$.a"),
            "D",
            "ItemReader/ReaderConfig/MaxItemsPath",
            "JSONPath",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/ManifestType",
            json!("ATHENA_DATA"),
            "D",
            "ItemReader/ReaderConfig/ManifestType",
            "ATHENA_DATA",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/CSVDelimiter",
            json!(","),
            "D",
            "ItemReader/ReaderConfig/CSVDelimiter",
            "COMMA, PIPE, SEMICOLON, SPACE, TAB",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/CSVHeaderLocation",
            json!("GIVEN"),
            "D",
            "ItemReader/ReaderConfig/CSVHeaders",
            "array of strings",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/CSVHeaders",
            json!(["a"]),
            "D",
            "ItemReader/ReaderConfig/CSVHeaders",
            "only for CSVHeaderLocation GIVEN",
        ),
        (
            "/States/D/ItemReader",
            json!({"Resource": "arn:aws:states:::s3:listObjectsV2", "Arguments": {"Bucket": "b"}, "ReaderConfig": {"Transformation": "LOAD_AND_FLATTEN"}}),
            "D",
            "ItemReader/ReaderConfig/Transformation",
            "LOAD_AND_FLATTEN",
        ),
        (
            "/States/D/ResultWriter",
            json!({}),
            "D",
            "ResultWriter/WriterConfig",
            "is needed",
        ),
        (
            "/States/D/ResultWriter/Resource",
            json!("arn:aws:states:::s3:getObject"),
            "D",
            "ResultWriter/Resource",
            "s3:putObject",
        ),
        (
            "/States/D/ResultWriter/Arguments/Key",
            json!("k"),
            "D",
            "ResultWriter/Arguments/Key",
            "not supported",
        ),
        (
            "/States/D/ResultWriter/WriterConfig/Transformation",
            json!("SORT"),
            "D",
            "ResultWriter/WriterConfig/Transformation",
            "NONE, COMPACT, FLATTEN",
        ),
        (
            "/States/D/ResultWriter",
            json!({"WriterConfig": {"OutputType": "JSONL"}}),
            "D",
            "ResultWriter/WriterConfig/OutputType",
            "without Resource",
        ),
        (
            "/States/D/ItemReader/Parameters",
            json!({}),
            "D",
            "ItemReader/Parameters",
            "JSONPath",
        ),
        (
            "/States/D/ItemBatcher",
            json!({}),
            "D",
            "ItemBatcher/MaxItemsPerBatch",
            "is needed",
        ),
        (
            "/States/W/Timestamp",
            json!("2026-01-01T00:00:00Z"),
            "W",
            "Seconds",
            "either `Seconds` or `Timestamp`",
        ),
        (
            "/States/W/Seconds",
            Value::Null,
            "W",
            "Seconds",
            "either `Seconds` or `Timestamp`",
        ),
        ("/States/W/Seconds", json!(-1), "W", "Seconds", "from 0 to"),
        (
            "/States/W",
            json!({"Type": "Wait", "Timestamp": "tomorrow", "Next": "P"}),
            "W",
            "Timestamp",
            "RFC 3339",
        ),
        (
            "/States/W",
            json!({"Type": "Wait", "Timestamp": "2026-01-01 00:00:00Z", "Next": "P"}),
            "W",
            "Timestamp",
            "RFC 3339",
        ),
        ("/States/C/Choices", json!([]), "C", "Choices", "at least one rule"),
        (
            "/States/C/Choices/0/Condition",
            Value::Null,
            "C",
            "Choices[0]/Condition",
            "is missing",
        ),
        (
            "/States/C/Choices/0/Condition",
            json!("yes"),
            "C",
            "Choices[0]/Condition",
            "must be an expression",
        ),
        (
            "/States/C/Choices/0/Condition",
            json!(1),
            "C",
            "Choices[0]/Condition",
            "must be an expression",
        ),
        ("/States/P/Branches", json!([]), "P", "Branches", "at least one branch"),
        // Retry and Catch.
        ("/States/T/Retry", json!({}), "T", "Retry", "must be an array"),
        (
            "/States/T/Retry/0/ErrorEquals",
            json!([]),
            "T",
            "Retry[0]/ErrorEquals",
            "at least one name",
        ),
        (
            "/States/T/Retry/0/ErrorEquals",
            json!(["States.ALL"]),
            "T",
            "Retry[0]/ErrorEquals",
            "must be last in Retry",
        ),
        (
            "/States/T/Retry/1/ErrorEquals",
            json!(["A", "States.ALL"]),
            "T",
            "Retry[1]/ErrorEquals",
            "must stand alone",
        ),
        (
            "/States/T/Catch/0/ErrorEquals",
            json!(["States.ALL"]),
            "T",
            "Catch[0]/ErrorEquals",
            "must be last in Catch",
        ),
        (
            "/States/T/Catch/0/ErrorEquals",
            json!(["States.Runtime"]),
            "T",
            "Catch[0]/ErrorEquals",
            "always ends the execution",
        ),
        (
            "/States/T/Catch/0/ErrorEquals",
            json!(["States.NoChoiceMatched"]),
            "T",
            "Catch[0]/ErrorEquals",
            "States.Runtime",
        ),
        (
            "/States/P/Catch",
            json!([{"ErrorEquals": ["States.BranchFailed"], "Next": "F"}]),
            "P",
            "Catch[0]/ErrorEquals",
            "of the branch that failed",
        ),
        (
            "/States/T/Catch/0/ErrorEquals",
            json!(["States.Nope"]),
            "T",
            "Catch[0]/ErrorEquals",
            "no error of Step Functions",
        ),
        (
            "/States/T/Catch/0/Next",
            Value::Null,
            "T",
            "Catch[0]/Next",
            "is missing",
        ),
        (
            "/States/T/Catch/0/ResultPath",
            json!("$"),
            "T",
            "Catch[0]/ResultPath",
            "JSONPath",
        ),
        (
            "/States/T/Retry/0/IntervalSeconds",
            json!(0),
            "T",
            "Retry[0]/IntervalSeconds",
            "from 1",
        ),
        (
            "/States/T/Retry/0/MaxAttempts",
            json!(-1),
            "T",
            "Retry[0]/MaxAttempts",
            "from 0",
        ),
        (
            "/States/T/Retry/0/BackoffRate",
            json!(0.5),
            "T",
            "Retry[0]/BackoffRate",
            "at least 1.0",
        ),
        (
            "/States/T/Retry/0/MaxDelaySeconds",
            json!(2),
            "T",
            "Retry[0]/MaxDelaySeconds",
            "larger than IntervalSeconds",
        ),
        (
            "/States/T/Retry/0/JitterStrategy",
            json!("SOME"),
            "T",
            "Retry[0]/JitterStrategy",
            "FULL or NONE",
        ),
        (
            "/States/T/Retry/0/Attempts",
            json!(1),
            "T",
            "Retry[0]/Attempts",
            "no known field",
        ),
        // Expressions, in every field that may hold one.
        (
            "/States/T/Arguments/a/0",
            json!("{% $states.input.( %}"),
            "T",
            "Arguments/a[0]",
            "JSONata does not parse",
        ),
        (
            "/States/T/Output",
            json!({"x": "{% 1 + %}"}),
            "T",
            "Output/x",
            "JSONata does not parse",
        ),
        (
            "/States/T/Assign/v",
            json!("{% [ %}"),
            "T",
            "Assign/v",
            "JSONata does not parse",
        ),
        (
            "/States/T/TimeoutSeconds",
            json!("{% [ %}"),
            "T",
            "TimeoutSeconds",
            "JSONata does not parse",
        ),
        (
            "/States/T/HeartbeatSeconds",
            json!("{% [ %}"),
            "T",
            "HeartbeatSeconds",
            "JSONata does not parse",
        ),
        (
            "/States/T/Catch/0/Output",
            json!("{% [ %}"),
            "T",
            "Catch[0]/Output",
            "JSONata does not parse",
        ),
        (
            "/States/T/Catch/0/Assign/e",
            json!("{% [ %}"),
            "T",
            "Catch[0]/Assign/e",
            "JSONata does not parse",
        ),
        (
            "/States/C/Choices/0/Condition",
            json!("{% [ %}"),
            "C",
            "Choices[0]/Condition",
            "JSONata does not parse",
        ),
        (
            "/States/C/Choices/0/Output",
            json!("{% [ %}"),
            "C",
            "Choices[0]/Output",
            "JSONata does not parse",
        ),
        (
            "/States/C/Choices/0/Assign/r",
            json!("{% [ %}"),
            "C",
            "Choices[0]/Assign/r",
            "JSONata does not parse",
        ),
        (
            "/States/W/Seconds",
            json!("{% [ %}"),
            "W",
            "Seconds",
            "JSONata does not parse",
        ),
        (
            "/States/W",
            json!({"Type": "Wait", "Timestamp": "{% [ %}", "Next": "P"}),
            "W",
            "Timestamp",
            "JSONata does not parse",
        ),
        (
            "/States/P/Arguments",
            json!("{% [ %}"),
            "P",
            "Arguments",
            "JSONata does not parse",
        ),
        (
            "/States/M/Items",
            json!("{% [ %}"),
            "M",
            "Items",
            "JSONata does not parse",
        ),
        (
            "/States/M/ItemSelector",
            json!({"a": "{% [ %}"}),
            "M",
            "ItemSelector/a",
            "JSONata does not parse",
        ),
        (
            "/States/M/MaxConcurrency",
            json!("{% [ %}"),
            "M",
            "MaxConcurrency",
            "JSONata does not parse",
        ),
        (
            "/States/D/ItemReader/Arguments",
            json!("{% [ %}"),
            "D",
            "ItemReader/Arguments",
            "JSONata does not parse",
        ),
        (
            "/States/D/ItemReader/ReaderConfig/MaxItems",
            json!("{% [ %}"),
            "D",
            "ItemReader/ReaderConfig/MaxItems",
            "JSONata does not parse",
        ),
        (
            "/States/D/ItemBatcher/BatchInput",
            json!("{% [ %}"),
            "D",
            "ItemBatcher/BatchInput",
            "JSONata does not parse",
        ),
        (
            "/States/D/ResultWriter/Arguments",
            json!("{% [ %}"),
            "D",
            "ResultWriter/Arguments",
            "JSONata does not parse",
        ),
        (
            "/States/D/ToleratedFailureCount",
            json!("{% [ %}"),
            "D",
            "ToleratedFailureCount",
            "JSONata does not parse",
        ),
        (
            "/States/D/ToleratedFailurePercentage",
            json!("{% [ %}"),
            "D",
            "ToleratedFailurePercentage",
            "JSONata does not parse",
        ),
        (
            "/States/F/Error",
            json!("{% [ %}"),
            "F",
            "Error",
            "JSONata does not parse",
        ),
        (
            "/States/F/Cause",
            json!("{% [ %}"),
            "F",
            "Cause",
            "JSONata does not parse",
        ),
        ("/States/T/Output", json!(" {% 1 %}"), "T", "Output", "whole string"),
        (
            "/States/T/Output",
            json!("{% $eval('1') %}"),
            "T",
            "Output",
            "`$eval` is not available",
        ),
        (
            "/States/T/Output",
            json!("{% $nope(1) %}"),
            "T",
            "Output",
            "`$nope(…)` is no function",
        ),
        (
            "/States/T/Output",
            json!("{% input.x %}"),
            "T",
            "Output",
            "unqualified name",
        ),
        (
            "/States/T/Output",
            json!("{% $states.errorOutput %}"),
            "T",
            "Output",
            "catcher",
        ),
        (
            "/States/T/Arguments",
            json!("{% $states.result %}"),
            "T",
            "Arguments",
            "only known to",
        ),
        (
            "/States/W/Output",
            json!("{% $states.result %}"),
            "W",
            "Output",
            "only known to",
        ),
        // Variables.
        (
            "/States/W/Output",
            json!("{% $nowhere %}"),
            "W",
            "Output",
            "`$nowhere` is assigned nowhere",
        ),
        (
            "/States/W/Output",
            json!("{% $inner %}"),
            "W",
            "Output",
            "`$inner` is assigned nowhere that",
        ),
        (
            "/States/D/ItemProcessor/States/X/Output",
            json!("{% $v %}"),
            "D.item.X",
            "Output",
            "outside of a distributed Map",
        ),
        (
            "/States/T/Assign",
            json!({"states": 1}),
            "T",
            "Assign/states",
            "cannot be assigned",
        ),
        (
            "/States/T/Assign",
            json!({"v": 1, "a-b": 1}),
            "T",
            "Assign/a-b",
            "identifier",
        ),
        ("/States/T/Assign", json!([]), "T", "Assign", "must be an object"),
    ];
    for (pointer, value, state, field, message) in cases {
        let errors = planted(pointer, value.clone());
        let found = errors
            .iter()
            .any(|e| e.machine == "m" && e.state == state && e.field == field && e.message.contains(message));
        assert!(
            found,
            "{pointer} = {value}: no error at `{state}` `{field}` with `{message}` in {errors:#?}"
        );
    }
}

#[test]
fn an_inner_scope_may_assign_a_name_of_an_outer_one() {
    for pointer in [
        "/States/P/Branches/0/States/B0/Assign",
        "/States/M/ItemProcessor/States/I/Assign",
        "/States/D/ItemProcessor/States/X/Assign",
    ] {
        assert_eq!(planted(pointer, json!({"v": 1})), [], "{pointer}");
    }
}

#[test]
fn express_children_cannot_wait_for_jobs_or_tokens() {
    let mut machine = good();
    let processor = machine.pointer_mut("/States/D/ItemProcessor").expect("a processor");
    *processor = json!({"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "X", "States": {"X": task("a.sync", json!({}))}});
    let errors = load(&machine).expect_err("a defect").0;
    assert_eq!(
        (errors.len(), errors[0].state.as_str(), errors[0].field.as_str()),
        (1, "D.item.X", "Resource")
    );
}

#[test]
fn all_defects_are_told_at_once() {
    let states = json!({"A": {"Type": "Pass", "Next": "Nope", "Output": "{% ( %}"}, "B": {"Type": "Jump"}, "C": {"Type": "Task"}});
    let errors = load(&definition("A", states)).expect_err("defects");
    let text = errors.to_string();
    for part in [
        "field `Next`: there is no state `Nope`",
        "state `A`, field `Output`",
        "there is no type `Jump`",
        "state `C`, field `Resource`: is missing",
        "state `C`, field `Next`",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(text.lines().all(|line| line.starts_with("machine `m`")), "{text}");
}

#[test]
fn malformed_json_is_told_with_its_place() {
    let parse = |text: &str| {
        StateMachine::parse("m", text, &BTreeMap::new())
            .expect_err("a defect")
            .to_string()
    };
    assert!(parse("{\n  \"StartAt\": \n}").contains("malformed JSON: expected value at line 3"));
    assert!(parse("[]").contains("must be a JSON object"));
    assert!(parse(r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}, "A": {"Type": "Succeed"}}}"#).contains("the key `A` appears twice"));
}

#[test]
fn holes_are_filled_before_reading() {
    let text = definition("A", json!({"A": task("${Name}", json!({"TimeoutSeconds": 5}))}))
        .to_string()
        .replace(":5", ":${Seconds}");
    let values = BTreeMap::from([
        ("Name".to_owned(), "x".to_owned()),
        ("Seconds".to_owned(), "7".to_owned()),
    ]);
    let machine = StateMachine::parse("m", &text, &values).unwrap_or_else(|e| panic!("{e}"));
    let a = machine.state("A").and_then(|s| s.as_task()).expect("a Task");
    assert_eq!(
        (a.resource.as_str(), a.timeout_seconds.as_ref().and_then(|t| t.as_u64())),
        ("arn:test:x", Some(7))
    );
    let errors = StateMachine::parse("m", &text.replace("${Seconds}", "5"), &BTreeMap::new())
        .expect_err("a hole")
        .0;
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "machine `m`: the substitution `${Name}` has no value"
    );
}
