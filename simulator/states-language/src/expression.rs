//! JSONata in a definition: parsed and checked once, when the machine is loaded.

use std::collections::BTreeSet;

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};
use jsonata_core::parser;
use serde_json::Value;

use crate::functions;

/// A JSON value with JSONata in it: what `Arguments`, `Output`, `Assign` and the like hold.
#[derive(Debug)]
pub enum Template {
    /// No expression within.
    Literal(Value),
    /// A string that is one expression, `{% … %}`.
    Expression(Box<Expression>),
    /// An array with an expression somewhere within.
    Array(Vec<Template>),
    /// An object with an expression somewhere within.
    Object(Vec<(String, Template)>),
}

impl Template {
    /// The value, if there is no expression within.
    pub fn as_literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The value, if it is a literal whole number (of seconds, for instance).
    pub fn as_u64(&self) -> Option<u64> {
        self.as_literal().and_then(Value::as_u64)
    }

    /// The JSONata source, if the whole value is one expression.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Expression(expression) => Some(&expression.source),
            _ => None,
        }
    }
}

/// One JSONata expression.
#[derive(Debug)]
pub struct Expression {
    pub(crate) source: String,
    pub(crate) ast: AstNode,
}

impl Expression {
    /// What stands between `{%` and `%}`.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Which fields of `$states` a field of a state may refer to, besides `input` and `context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the state's work: neither.
    Before,
    /// After it: `result`.
    After,
    /// In a catcher: `errorOutput`.
    Caught,
}

impl Moment {
    fn allows(self, field: &str) -> Result<(), String> {
        let why = match field {
            "input" | "context" => return Ok(()),
            "result" if self == Self::After => return Ok(()),
            "errorOutput" if self == Self::Caught => return Ok(()),
            "result" => "only known to Assign and Output of a Task, Parallel or Map",
            "errorOutput" => "only known to Assign and Output of a catcher",
            _ => "no field of $states",
        };
        Err(format!("`$states.{field}` is {why}"))
    }
}

/// What a string in a template is.
pub(crate) enum Text<'a> {
    Literal,
    Jsonata(&'a str),
    Suspicious(&'static str),
}

/// Tells expressions from literals, and from what somebody took for an expression.
pub(crate) fn classify(text: &str) -> Text<'_> {
    if let Some(source) = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) {
        return Text::Jsonata(source.trim());
    }
    if text.contains("{%") || text.contains("%}") {
        return Text::Suspicious("`{% … %}` must be the whole string, without anything before or after it");
    }
    if text.starts_with("$.") || text.starts_with("$$.") || text.starts_with("$states") {
        return Text::Suspicious("looks like a path; in JSONata it is written `{% $states.… %}`");
    }
    Text::Literal
}

/// An expression, with the variables of the machine that it refers to.
pub(crate) struct Parsed {
    pub expression: Expression,
    pub variables: BTreeSet<String>,
}

/// Parses and checks one expression.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn parse(source: &str, moment: Moment) -> Result<Parsed, Vec<String>> {
    if source.is_empty() {
        return Err(vec!["the expression is empty".to_owned()]);
    }
    let ast = parser::parse(source).map_err(|e| vec![format!("JSONata does not parse: {}", e.display_message())])?;
    let mut check = Check {
        moment,
        bound: BTreeSet::new(),
        variables: BTreeSet::new(),
        problems: Vec::new(),
    };
    check.collect_bound(&ast);
    check.visit(&ast, false);
    if check.problems.is_empty() {
        Ok(Parsed {
            expression: Expression {
                source: source.to_owned(),
                ast,
            },
            variables: check.variables,
        })
    } else {
        Err(check.problems)
    }
}

/// Walks an expression for what JSONata would let pass and Step Functions does not.
struct Check {
    moment: Moment,
    /// Names that the expression binds itself, anywhere: `:=`, parameters, `@$x`, `#$i`.
    bound: BTreeSet<String>,
    variables: BTreeSet<String>,
    problems: Vec<String>,
}

impl Check {
    fn collect_bound(&mut self, node: &AstNode) {
        match node {
            AstNode::Binary {
                op: BinaryOp::ColonEqual,
                lhs,
                ..
            } => {
                if let AstNode::Variable(name) = lhs.as_ref() {
                    if name == "states" {
                        self.problems.push("`$states` cannot be bound".to_owned());
                    }
                    self.bound.insert(name.clone());
                }
            }
            AstNode::Lambda { params, .. } => self.bound.extend(params.iter().cloned()),
            AstNode::Path { steps } => {
                for step in steps {
                    self.bound.extend(step.focus.clone());
                    self.bound.extend(step.index_var.clone());
                    for stage in &step.stages {
                        if let Stage::Index(name) = stage {
                            self.bound.insert(name.clone());
                        }
                    }
                }
            }
            _ => {}
        }
        for_each_child(node, &mut |child, _| self.collect_bound(child));
    }

    /// `context` says whether there is a current value; at the top of an expression there is none.
    fn visit(&mut self, node: &AstNode, context: bool) {
        match node {
            AstNode::Name(name) if !context => self.problems.push(format!(
                "`{name}` is an unqualified name at the top level: there is no current value"
            )),
            AstNode::Variable(name) if name.is_empty() && !context => self
                .problems
                .push("`$` at the top level: there is no current value".to_owned()),
            AstNode::ParentVariable(_) => self.problems.push("`$$`: there is no root value".to_owned()),
            AstNode::Wildcard | AstNode::Descendant if !context => self
                .problems
                .push("`*` at the top level: there is no current value".to_owned()),
            AstNode::Variable(name) => self.variable(name),
            AstNode::Function { name, is_builtin, .. } => self.function(name, *is_builtin),
            AstNode::Path { steps } => self.states_field(steps),
            _ => {}
        }
        for_each_child(node, &mut |child, fresh| self.visit(child, context || fresh));
    }

    fn variable(&mut self, name: &str) {
        if name == "eval" {
            self.no_eval();
        } else if !(name.is_empty() || name == "states" || self.bound.contains(name) || functions::is_known(name)) {
            self.variables.insert(name.to_owned());
        }
    }

    fn function(&mut self, name: &str, dollar: bool) {
        if name == "eval" && dollar {
            self.no_eval();
        } else if !dollar {
            self.problems
                .push(format!("`{name}(…)` is no function; `${name}(…)` may be"));
        } else if !self.bound.contains(name) && !functions::is_known(name) {
            self.problems.push(format!("`${name}(…)` is no function"));
        }
    }

    fn no_eval(&mut self) {
        self.problems
            .push("`$eval` is not available in Step Functions; `$parse` reads JSON".to_owned());
    }

    fn states_field(&mut self, steps: &[PathStep]) {
        if let [first, second, ..] = steps
            && matches!(&first.node, AstNode::Variable(name) if name == "states")
            && let AstNode::Name(field) | AstNode::String(field) = &second.node
            && let Err(problem) = self.moment.allows(field)
        {
            self.problems.push(problem);
        }
    }
}

/// Calls `f` with every child, and with whether the child is evaluated on a value of its own.
fn for_each_child<'a>(node: &'a AstNode, f: &mut dyn FnMut(&'a AstNode, bool)) {
    match node {
        AstNode::String(_)
        | AstNode::Name(_)
        | AstNode::Number(_)
        | AstNode::Boolean(_)
        | AstNode::Null
        | AstNode::Undefined
        | AstNode::Placeholder
        | AstNode::Regex { .. }
        | AstNode::Variable(_)
        | AstNode::ParentVariable(_)
        | AstNode::Wildcard
        | AstNode::Descendant
        | AstNode::Parent(_) => {}
        AstNode::Path { steps } => {
            for (i, step) in steps.iter().enumerate() {
                f(&step.node, i > 0);
                for stage in &step.stages {
                    if let Stage::Filter(filter) = stage {
                        f(filter, true);
                    }
                }
            }
        }
        AstNode::Binary { op, lhs, rhs } => {
            if *op != BinaryOp::ColonEqual {
                f(lhs, false);
            }
            f(rhs, false);
        }
        AstNode::Unary { operand, .. } => f(operand, false),
        AstNode::Function { args, .. } => args.iter().for_each(|arg| f(arg, false)),
        AstNode::Call { procedure, args } => {
            f(procedure, false);
            args.iter().for_each(|arg| f(arg, false));
        }
        AstNode::Lambda { body, .. } => f(body, false),
        AstNode::Array(items) | AstNode::ArrayGroup(items) | AstNode::Block(items) => {
            items.iter().for_each(|item| f(item, false));
        }
        AstNode::FunctionApplication(inner) => f(inner, true),
        AstNode::Object(pairs) => {
            for (key, value) in pairs {
                f(key, false);
                f(value, false);
            }
        }
        AstNode::ObjectTransform { input, pattern } => {
            f(input, false);
            for (key, value) in pattern {
                f(key, true);
                f(value, true);
            }
        }
        AstNode::Conditional {
            condition,
            then_branch,
            else_branch,
        } => {
            f(condition, false);
            f(then_branch, false);
            if let Some(branch) = else_branch {
                f(branch, false);
            }
        }
        AstNode::Sort { input, terms } => {
            f(input, false);
            terms.iter().for_each(|(term, _)| f(term, true));
        }
        AstNode::Transform {
            location,
            update,
            delete,
        } => {
            f(location, true);
            f(update, true);
            if let Some(delete) = delete {
                f(delete, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(source: &str) -> Vec<String> {
        parse(source, Moment::After).err().unwrap_or_default()
    }

    #[test]
    fn good_expressions_pass() {
        for source in [
            "$states.input.items[status = 'ok'].{'id': id, 'n': $count(parts)}",
            "$map($states.input.items, function($v, $i) { $v.name & $i })",
            "($x := $states.result.Payload; $x.a ? $x.a : $exists($x.b))",
            "$states.input.items^(>age)[0]",
            "$states.input.items.$uppercase(name)",
            "$merge([$states.input, {'at': $now(), 'id': $uuid()}])",
            "$states.input.a ~> $sum",
            "$map($states.input.names, $uppercase)",
            "$states.input ~> |items|{'seen': true}|",
            "$states.input.items@$i.parts#$n.{'x': $i.id & $n}",
        ] {
            assert_eq!(problems(source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn what_step_functions_refuses_is_refused() {
        for (source, expected) in [
            ("$states.input.(", "does not parse"),
            ("", "empty"),
            ("input.x", "`input` is an unqualified name"),
            ("$", "`$` at the top level"),
            ("$$.a", "`$$`"),
            ("*", "`*` at the top level"),
            ("$eval('1')", "`$eval` is not available"),
            ("$map(['1'], $eval)", "`$eval` is not available"),
            ("$nope(1)", "`$nope(…)` is no function"),
            ("count([1])", "`count(…)` is no function"),
            (
                "$states.errorOutput.Error",
                "only known to Assign and Output of a catcher",
            ),
            ("$states.inputs", "no field of $states"),
            ("($states := 1)", "cannot be bound"),
        ] {
            let found = problems(source).join("; ");
            assert!(found.contains(expected), "{source}: {found}");
        }
        let early = parse("$states.result", Moment::Before).err().unwrap_or_default();
        assert!(early.join("").contains("`$states.result` is only known"));
    }

    #[test]
    fn variables_of_the_machine_are_found() {
        let parsed = parse(
            "($local := $outer.a; $map($list, function($v) { $v + $local + $sum($more) }))",
            Moment::Before,
        );
        let names: Vec<String> = parsed.map(|p| p.variables.into_iter().collect()).unwrap_or_default();
        assert_eq!(names, ["list", "more", "outer"]);
    }

    #[test]
    fn strings_are_classified() {
        assert!(matches!(classify("{% 1 + 1 %}"), Text::Jsonata("1 + 1")));
        assert!(matches!(classify("100 % {x}"), Text::Literal));
        assert!(matches!(classify(" {% 1 %}"), Text::Suspicious(_)));
        assert!(matches!(classify("{% 1 %} s"), Text::Suspicious(_)));
        assert!(matches!(classify("$.a"), Text::Suspicious(_)));
    }
}
