//! Edits of a manifest that keep its comments and its layout.

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

use crate::{
    name::{BucketName, DatabaseName, FunctionName},
    project::Level,
};

/// What a function may be given access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A bucket.
    Bucket(BucketName),
    /// A database.
    Database(DatabaseName),
}

impl Resource {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Database(_) => "database",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Bucket(name) => name.as_str(),
            Self::Database(name) => name.as_str(),
        }
    }
}

/// Why a manifest was not edited. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CannotEdit {
    /// The text is no TOML.
    #[error("the manifest cannot be edited while it has a syntax error")]
    Syntax(#[source] toml_edit::TomlError),
    /// There is no such function.
    #[error("the manifest has no function `{0}` to give access to")]
    NoFunction(FunctionName),
    /// Something that is not a table stands in the way.
    #[error("`{0}` is not a table, so nothing can be added to it; mend it first")]
    NotATable(String),
}

/// Writes into the manifest that `function` may use `resource` at `level`. What already stands
/// there is raised to `level`, never lowered.
///
/// # Errors
/// When the text is no TOML, the function is not in it, or its `access` is no table.
pub fn add_access(
    text: &str,
    function: &FunctionName,
    resource: &Resource,
    level: Level,
) -> Result<String, CannotEdit> {
    let mut document: DocumentMut = text.parse().map_err(CannotEdit::Syntax)?;
    let table = (document.get_mut("function"))
        .and_then(Item::as_table_like_mut)
        .and_then(|functions| functions.get_mut(function.as_str()))
        .ok_or_else(|| CannotEdit::NoFunction(function.clone()))?;
    let path = format!("function.{function}");
    let table = table_like(table, &path)?;
    let path = format!("{path}.access");
    let access = table_like(child(table, "access", Dotted::No), &path)?;
    let path = format!("{path}.{}", resource.kind());
    let levels = table_like(child(access, resource.kind(), Dotted::Yes), &path)?;
    raise(levels, resource.name(), level);
    Ok(document.to_string())
}

fn table_like<'a>(item: &'a mut Item, path: &str) -> Result<&'a mut dyn TableLike, CannotEdit> {
    item.as_table_like_mut()
        .ok_or_else(|| CannotEdit::NotATable(path.to_owned()))
}

/// How a new table is written: `a = { b = 1 }` or `a.b = 1`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dotted {
    Yes,
    No,
}

/// The entry called `name`, which becomes an empty inline table if there is none.
fn child<'a>(table: &'a mut dyn TableLike, name: &str, dotted: Dotted) -> &'a mut Item {
    if table.get(name).is_none() {
        let mut inner = InlineTable::new();
        inner.set_dotted(dotted == Dotted::Yes);
        insert(table, name, Value::InlineTable(inner));
    }
    table.entry(name).or_insert(Item::None)
}

fn raise(levels: &mut dyn TableLike, name: &str, level: Level) {
    let word = match level {
        Level::Read => "read",
        Level::Write => "write",
    };
    match levels.get_mut(name).and_then(Item::as_value_mut) {
        Some(existing) if existing.as_str() == Some("write") => {}
        Some(existing) => {
            let mut value = Value::from(word);
            *value.decor_mut() = existing.decor().clone();
            *existing = value;
        }
        None => insert(levels, name, Value::from(word)),
    }
}

/// Inserts at the end. In an inline table, the white space before the closing brace belongs to
/// the last value; it moves to the new one.
fn insert(table: &mut dyn TableLike, name: &str, mut value: Value) {
    let last = table
        .iter_mut()
        .last()
        .and_then(|(_, item)| item.as_value_mut());
    if let Some(last) = last {
        let suffix = last.decor().suffix().and_then(|raw| raw.as_str());
        let suffix = suffix.unwrap_or_default().to_owned();
        if !suffix.contains('#') && !suffix.is_empty() {
            last.decor_mut().set_suffix("");
            value.decor_mut().set_suffix(suffix);
            value.decor_mut().set_prefix(" ");
        }
    }
    table.insert(name, Item::Value(value));
}
