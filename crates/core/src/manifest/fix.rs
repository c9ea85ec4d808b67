//! Edits of a manifest that keep its comments and its layout.

use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use crate::{
    name::{BucketName, DatabaseName, FunctionName, TopicPattern},
    project::Level,
};

/// What a function may be given access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A bucket.
    Bucket(BucketName),
    /// A database.
    Database(DatabaseName),
    /// Topics, to publish them.
    Topic(TopicPattern),
    /// A function, to invoke it.
    Function(FunctionName),
}

impl Resource {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Database(_) => "database",
            Self::Topic(_) => "topic",
            Self::Function(_) => "function",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Bucket(name) => name.as_str(),
            Self::Database(name) => name.as_str(),
            Self::Topic(pattern) => pattern.as_str(),
            Self::Function(name) => name.as_str(),
        }
    }

    /// Whether there is more than one level of access to it.
    const fn has_levels(&self) -> bool {
        matches!(self, Self::Bucket(_) | Self::Database(_))
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
    /// Something that is not an array stands in the way.
    #[error("`{0}` is not an array, so nothing can be added to it; mend it first")]
    NotAnArray(String),
}

/// Writes into the manifest that `function` may use `resource` at `level`, which means nothing
/// for topics and functions. What already stands there is raised to `level`, never lowered.
///
/// # Errors
/// When the text is no TOML, the function is not in it, or its `access` is of another form.
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
    let access = child(table, "access", Dotted::No);
    keeping_end(access, |access| {
        let access = table_like(access, &path)?;
        let path = format!("{path}.{}", resource.kind());
        if !resource.has_levels() {
            return list(access, resource.kind(), &path, resource.name());
        }
        let levels = child(access, resource.kind(), Dotted::Yes);
        keeping_end(levels, |levels| {
            raise(table_like(levels, &path)?, resource.name(), level);
            Ok(())
        })
    })?;
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
        table.insert(name, Item::Value(Value::InlineTable(inner)));
    }
    table.entry(name).or_insert(Item::None)
}

/// Adds `name` to the array called `kind`, which becomes one if there is none.
fn list(table: &mut dyn TableLike, kind: &str, path: &str, name: &str) -> Result<(), CannotEdit> {
    let item = table
        .entry(kind)
        .or_insert(Item::Value(Value::Array(Array::new())));
    let array = item
        .as_array_mut()
        .ok_or_else(|| CannotEdit::NotAnArray(path.to_owned()))?;
    if !array.iter().any(|known| known.as_str() == Some(name)) {
        array.push(name);
    }
    Ok(())
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
        None => {
            levels.insert(name, Item::Value(Value::from(word)));
        }
    }
}

/// Edits `item`. The white space before the closing brace of an inline table belongs to its last
/// value; it goes to the one that is last afterwards.
fn keeping_end<T>(item: &mut Item, edit: impl FnOnce(&mut Item) -> T) -> T {
    let end = own_inline(item).and_then(last_value).and_then(take_end);
    let result = edit(item);
    if let Some(end) = end
        && let Some(last) = own_inline(item).and_then(last_value)
    {
        last.decor_mut().set_suffix(end);
    }
    result
}

/// The inline table with braces of its own that `item` may be.
fn own_inline(item: &mut Item) -> Option<&mut InlineTable> {
    item.as_inline_table_mut()
        .filter(|table| !table.is_dotted())
}

/// The last value of an inline table, looked for through dotted keys.
fn last_value(table: &mut InlineTable) -> Option<&mut Value> {
    let (_, last) = table.iter_mut().last()?;
    let dotted = last.as_inline_table().is_some_and(InlineTable::is_dotted);
    if dotted {
        last.as_inline_table_mut().and_then(last_value)
    } else {
        Some(last)
    }
}

fn take_end(last: &mut Value) -> Option<String> {
    let end = last.decor().suffix()?.as_str()?.to_owned();
    let is_space = end.chars().all(char::is_whitespace);
    is_space.then(|| {
        last.decor_mut().set_suffix("");
        end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str, resource: &str, level: Level) -> Result<String, CannotEdit> {
        let (kind, name) = resource.split_once('.').unwrap();
        let resource = match kind {
            "bucket" => Resource::Bucket(name.parse().unwrap()),
            "topic" => Resource::Topic(name.parse().unwrap()),
            "function" => Resource::Function(name.parse().unwrap()),
            _ => Resource::Database(name.parse().unwrap()),
        };
        add_access(text, &"f".parse().unwrap(), &resource, level)
    }

    #[track_caller]
    fn check(text: &str, resource: &str, level: Level, expected: &str) {
        assert_eq!(fixed(text, resource, level).unwrap(), expected);
        // A second time there is nothing left to do.
        assert_eq!(fixed(expected, resource, level).unwrap(), expected);
    }

    #[test]
    fn access_is_added_in_the_style_that_stands_there() {
        use Level::{Read, Write};
        check(
            "# head\n[function.f] # mine\ntimeout = \"1s\" # short\n\n# next\n[function.g]\n",
            "bucket.photos",
            Read,
            "# head\n[function.f] # mine\ntimeout = \"1s\" # short\naccess = { bucket.photos = \"read\" }\n\n# next\n[function.g]\n",
        );
        check(
            "[function.f]\naccess = { bucket.photos = \"read\" } # why\n",
            "bucket.thumbs",
            Write,
            "[function.f]\naccess = { bucket.photos = \"read\", bucket.thumbs = \"write\" } # why\n",
        );
        check(
            "[function.f]\naccess = { bucket.photos = \"read\" }\n",
            "database.shop",
            Read,
            "[function.f]\naccess = { bucket.photos = \"read\", database.shop = \"read\" }\n",
        );
        check(
            "[function.f]\naccess = { bucket.photos = \"read\", database.shop = \"read\" }\n",
            "bucket.thumbs",
            Read,
            "[function.f]\naccess = { bucket.photos = \"read\", bucket.thumbs = \"read\", database.shop = \"read\" }\n",
        );
        check(
            "[function.f]\naccess = {\n  bucket.photos = \"read\", # one\n}\n",
            "bucket.thumbs",
            Read,
            "[function.f]\naccess = {\n  bucket.photos = \"read\", bucket.thumbs = \"read\", # one\n}\n",
        );
        check(
            "[function.f]\naccess.bucket.photos = \"read\"\ntimeout = \"1s\"\n",
            "database.shop",
            Read,
            "[function.f]\naccess.bucket.photos = \"read\"\naccess.database.shop = \"read\"\ntimeout = \"1s\"\n",
        );
        check(
            "[function.f.access]\nbucket.photos = \"read\" # here\n\n[function.g]\n",
            "bucket.thumbs",
            Read,
            "[function.f.access]\nbucket.photos = \"read\" # here\nbucket.thumbs = \"read\"\n\n[function.g]\n",
        );
        check(
            "[function.f]\naccess = { bucket = { photos = \"read\" } }\n",
            "bucket.a.b",
            Read,
            "[function.f]\naccess = { bucket = { photos = \"read\", \"a.b\" = \"read\" } }\n",
        );
        check(
            "[[function.f.on]]\nschedule = \"every 5m\"\n",
            "bucket.photos",
            Read,
            "[function.f]\naccess = { bucket.photos = \"read\" }\n[[function.f.on]]\nschedule = \"every 5m\"\n",
        );
    }

    #[test]
    fn what_has_no_levels_is_listed() {
        use Level::Write;
        check(
            "[function.f]\ntimeout = \"1s\"\n",
            "topic.orders.*",
            Write,
            "[function.f]\ntimeout = \"1s\"\naccess = { topic = [\"orders.*\"] }\n",
        );
        check(
            "[function.f]\naccess = { topic = [\"orders.*\"] } # why\n",
            "topic.bills",
            Write,
            "[function.f]\naccess = { topic = [\"orders.*\", \"bills\"] } # why\n",
        );
        check(
            "[function.f]\naccess = { bucket.photos = \"read\", topic = [\"a\"] }\n",
            "function.x",
            Write,
            "[function.f]\naccess = { bucket.photos = \"read\", topic = [\"a\"], function = [\"x\"] }\n",
        );
        check(
            "[function.f.access]\nfunction = [\n  \"x\", # one\n]\n",
            "function.y",
            Write,
            "[function.f.access]\nfunction = [\n  \"x\", \"y\", # one\n]\n",
        );
        check(
            "[function.f.access]\nbucket.photos = \"read\"\n",
            "topic.a",
            Write,
            "[function.f.access]\nbucket.photos = \"read\"\ntopic = [\"a\"]\n",
        );
        let error = fixed("[function.f.access]\ntopic = \"a\"", "topic.b", Write).unwrap_err();
        let expected = "`function.f.access.topic` is not an array";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn access_is_raised_and_never_lowered() {
        let text = |level| format!("[function.f]\naccess = {{ bucket.a-b = \"{level}\" }} # x\n");
        check(&text("read"), "bucket.a-b", Level::Write, &text("write"));
        check(&text("write"), "bucket.a-b", Level::Read, &text("write"));
        check(&text("read"), "bucket.a-b", Level::Read, &text("read"));
    }

    #[test]
    fn what_cannot_be_edited_is_said() {
        let check = |text, expected: &str| {
            let error = fixed(text, "bucket.photos", Level::Read).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("[function.g]", "no function `f`");
        check("function = 1", "no function `f`");
        check("[function", "syntax error");
        check("[function]\nf = 1", "`function.f` is not a table");
        check(
            "[function.f]\naccess = []",
            "`function.f.access` is not a table",
        );
        check(
            "[function.f.access]\nbucket = \"x\"",
            "`function.f.access.bucket` is not",
        );
    }
}
