//! Values that stand in the manifest or are read elsewhere at start.

use std::collections::BTreeMap;

use super::{
    document::{Kind, quoted},
    problem::Problem,
    reader::Item,
    sections::REFERENCE,
};
use crate::{name::SecretName, project::Setting};

const EXPECTED: &str = "a string, { env = \"NAME\" } or { secret = \"NAME\" }";

/// Reads a text or a reference to one.
pub(super) fn read(item: Item<'_>) -> Option<Setting> {
    match &item.node.kind {
        Kind::Text(text) if text.contains('\0') => {
            item.refuse(
                format!("{} contains a NUL character", item.title()),
                "leave it out: nothing that takes this value can hold it",
            );
            None
        }
        Kind::Text(text) => Some(Setting::Literal(text.clone())),
        Kind::Integer(text, _) | Kind::Float(text) | Kind::Datetime(text) => {
            refuse_unquoted(item, text);
            None
        }
        Kind::Boolean(value) => {
            refuse_unquoted(item, if *value { "true" } else { "false" });
            None
        }
        Kind::Table(_) => reference(item),
        Kind::Array(_) => {
            item.wrong_kind(EXPECTED);
            None
        }
    }
}

fn refuse_unquoted(item: Item<'_>, text: &str) {
    let found = item.node.describe();
    item.refuse(
        format!(
            "{} is {found}, and only text can be given here",
            item.title()
        ),
        format!("put it in quotes: {} = \"{text}\"", item.name),
    );
}

fn reference(item: Item<'_>) -> Option<Setting> {
    let fields = item.fields(&REFERENCE, item.title())?;
    match (fields.get("env"), fields.get("secret")) {
        (Some(env), None) => variable(env).map(Setting::Env),
        (None, Some(secret)) => secret
            .name_of::<SecretName>("the name of a secret")
            .map(Setting::Secret),
        (Some(env), Some(secret)) => {
            let message = format!("{} is read from two places", item.title());
            item.report.problem(
                Problem::at(secret.key_span(), message)
                    .also(env.key_span(), "the other one")
                    .help(format!("expected {EXPECTED}")),
            );
            None
        }
        (None, None) => {
            // A key that is not known was reported already, and says what was meant.
            if fields.keys(|_| true).next().is_none() {
                item.refuse(
                    format!("{} says nothing", item.title()),
                    format!("expected {EXPECTED}"),
                );
            }
            None
        }
    }
}

fn variable(item: Item<'_>) -> Option<String> {
    let text = item.text("the name of an environment variable")?;
    if is_variable(text) {
        return Some(text.to_owned());
    }
    item.refuse(
        format!("{} names no environment variable", quoted(text)),
        VARIABLE_RULE,
    );
    None
}

const VARIABLE_RULE: &str = "expected letters, digits and `_`, the first no digit";

fn is_variable(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads the environment variables of a function.
pub(super) fn read_env(item: Item<'_>) -> BTreeMap<String, Setting> {
    let mut all = BTreeMap::new();
    let expected = "a table of environment variables, such as { SIZE = \"200\" }";
    for (key, value) in item.entries(expected).into_iter().flatten() {
        if !is_variable(&key.name) {
            let message = format!(
                "{} is no name of an environment variable",
                quoted(&key.name)
            );
            (item.report).problem(Problem::at(&key.span, message).help(VARIABLE_RULE));
        } else if key.name.starts_with("WAKEFUL_") {
            let message = format!("`{}` belongs to the server", key.name);
            (item.report).problem(
                Problem::at(&key.span, message)
                    .help("names that begin with `WAKEFUL_` are reserved; choose another"),
            );
        } else if key.name == "NODE_OPTIONS" {
            let message = "`NODE_OPTIONS` has no effect on a worker that runs already";
            (item.report).problem(
                Problem::at(&key.span, message)
                    .help("for more memory write memory = \"512MiB\" in the function"),
            );
        } else if let Some(setting) = read(value) {
            all.insert(key.name.clone(), setting);
        }
    }
    all
}
