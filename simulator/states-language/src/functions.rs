//! The JSONata functions that Step Functions adds, and the ones that must ask the host.

use std::rc::Rc;

use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use sha2::Digest;

use crate::host::Host;
use crate::json;

/// JSONata's own functions, `$eval` excepted.
const BUILTIN: &[&str] = &[
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "contains",
    "count",
    "decodeUrl",
    "decodeUrlComponent",
    "distinct",
    "each",
    "encodeUrl",
    "encodeUrlComponent",
    "error",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parseInteger",
    "power",
    "random",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "zip",
];

/// Functions that only Step Functions has.
const ADDED: &[&str] = &["partition", "range", "hash", "uuid", "parse"];

/// The longest array that `$range` makes.
const LONGEST_RANGE: usize = 100_000;

/// Whether `$name` is a function that expressions may use.
pub(crate) fn is_known(name: &str) -> bool {
    BUILTIN.contains(&name) || ADDED.contains(&name)
}

/// An evaluator that knows Step Functions' functions and takes time and chance from the host.
pub(crate) fn evaluator(host: &Rc<dyn Host>, context: Context) -> Evaluator {
    let mut evaluator = Evaluator::with_context(context);
    let registered = register(&mut evaluator, host);
    debug_assert!(registered.is_ok(), "no function collides: {registered:?}");
    evaluator
}

fn register(evaluator: &mut Evaluator, host: &Rc<dyn Host>) -> Result<(), EvaluatorError> {
    let clock = Rc::clone(host);
    evaluator.register_fn_override("now", move |args: &[JValue]| now(clock.as_ref(), args))?;
    let clock = Rc::clone(host);
    evaluator.register_fn_override("millis", move |args: &[JValue]| {
        arity("millis", args, 0..=0)?;
        Ok(JValue::from(clock.now().as_millisecond()))
    })?;
    let chance = Rc::clone(host);
    evaluator.register_fn_override("random", move |args: &[JValue]| {
        arity("random", args, 0..=1)?;
        Ok(JValue::Number(match args.first() {
            None => chance.random(),
            Some(seed) => seeded(number("random", seed)?),
        }))
    })?;
    let chance = Rc::clone(host);
    evaluator.register_fn_override("shuffle", move |args: &[JValue]| {
        arity("shuffle", args, 1..=1)?;
        let mut items = array("shuffle", &args[0])?;
        for i in (1..items.len()).rev() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            #[expect(clippy::cast_precision_loss, reason = "arrays are shorter than 2^53")]
            let j = (chance.random() * (i + 1) as f64) as usize;
            items.swap(i, j.min(i));
        }
        Ok(JValue::array(items))
    })?;
    let ids = Rc::clone(host);
    evaluator.register_fn("uuid", move |args: &[JValue]| {
        arity("uuid", args, 0..=0)?;
        Ok(JValue::from(ids.uuid()))
    })?;
    evaluator.register_fn_override("eval", |_: &[JValue]| {
        Err(problem("eval", "is not available in Step Functions"))
    })?;
    evaluator.register_fn("partition", partition)?;
    evaluator.register_fn("range", range)?;
    evaluator.register_fn("hash", hash)?;
    evaluator.register_fn("parse", parse)
}

fn now(host: &dyn Host, args: &[JValue]) -> Result<JValue, EvaluatorError> {
    arity("now", args, 0..=2)?;
    let now = host.now();
    if args.is_empty() {
        return Ok(JValue::from(crate::time::rfc3339(now)));
    }
    // Pictures and time zones are $fromMillis' business.
    let mut context = Context::new();
    context.bind("ms".to_owned(), JValue::from(now.as_millisecond()));
    let call = if args.len() == 1 {
        "$fromMillis($ms, $picture)"
    } else {
        "$fromMillis($ms, $picture, $zone)"
    };
    for (name, value) in ["picture", "zone"].into_iter().zip(args) {
        context.bind(name.to_owned(), value.clone());
    }
    let ast = parser::parse(call).map_err(|e| problem("now", &e.to_string()))?;
    Evaluator::with_context(context).evaluate(&ast, &JValue::Undefined)
}

/// The same number in [0, 1) for the same seed (SplitMix64).
fn seeded(seed: f64) -> f64 {
    let mut z = seed.to_bits().wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    unit
}

fn partition(args: &[JValue]) -> Result<JValue, EvaluatorError> {
    arity("partition", args, 2..=2)?;
    let items = array("partition", &args[0])?;
    let size = number("partition", &args[1])?;
    if size < 1.0 || size.fract() != 0.0 {
        return Err(problem("partition", "the size must be a positive integer"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let size = size as usize;
    Ok(JValue::array(
        items.chunks(size).map(|chunk| JValue::array(chunk.to_vec())).collect(),
    ))
}

fn range(args: &[JValue]) -> Result<JValue, EvaluatorError> {
    arity("range", args, 3..=3)?;
    let (first, last, step) = (
        number("range", &args[0])?,
        number("range", &args[1])?,
        number("range", &args[2])?,
    );
    if [first, last, step].iter().any(|n| n.fract() != 0.0) {
        return Err(problem("range", "takes integers"));
    }
    if step == 0.0 {
        return Err(problem("range", "the increment must not be 0"));
    }
    let mut items = Vec::new();
    let mut next = first;
    while (step > 0.0 && next <= last) || (step < 0.0 && next >= last) {
        if items.len() == LONGEST_RANGE {
            return Err(problem("range", "makes too many items"));
        }
        items.push(JValue::Number(next));
        next += step;
    }
    Ok(JValue::array(items))
}

fn hash(args: &[JValue]) -> Result<JValue, EvaluatorError> {
    arity("hash", args, 2..=2)?;
    let text = string("hash", &args[0])?.as_bytes();
    let digest = match string("hash", &args[1])? {
        "MD5" => hex(&md5::Md5::digest(text)),
        "SHA-1" => hex(&sha1::Sha1::digest(text)),
        "SHA-256" => hex(&sha2::Sha256::digest(text)),
        "SHA-384" => hex(&sha2::Sha384::digest(text)),
        "SHA-512" => hex(&sha2::Sha512::digest(text)),
        _ => return Err(problem("hash", "knows MD5, SHA-1, SHA-256, SHA-384 and SHA-512")),
    };
    Ok(JValue::from(digest))
}

/// The bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(args: &[JValue]) -> Result<JValue, EvaluatorError> {
    arity("parse", args, 1..=1)?;
    let text = string("parse", &args[0])?;
    serde_json::from_str(text)
        .map(|value| json::to_jsonata(&value))
        .map_err(|e| problem("parse", &format!("is given no JSON: {e}")))
}

fn problem(function: &str, text: &str) -> EvaluatorError {
    EvaluatorError::EvaluationError(format!("${function}: {text}"))
}

fn arity(function: &str, args: &[JValue], expected: std::ops::RangeInclusive<usize>) -> Result<(), EvaluatorError> {
    if expected.contains(&args.len()) {
        Ok(())
    } else {
        Err(problem(function, &format!("does not take {} arguments", args.len())))
    }
}

fn number(function: &str, value: &JValue) -> Result<f64, EvaluatorError> {
    value.as_f64().ok_or_else(|| problem(function, "takes a number here"))
}

fn string<'a>(function: &str, value: &'a JValue) -> Result<&'a str, EvaluatorError> {
    value.as_str().ok_or_else(|| problem(function, "takes a string here"))
}

fn array(function: &str, value: &JValue) -> Result<Vec<JValue>, EvaluatorError> {
    match value {
        JValue::Undefined => Err(problem(function, "takes an array here")),
        JValue::Array(items) => Ok(items.to_vec()),
        // JSONata gives the item where a list has only one.
        single => Ok(vec![single.clone()]),
    }
}
