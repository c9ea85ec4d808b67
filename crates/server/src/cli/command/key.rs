//! `key`.

use wakeful_core::name::KeyName;

use super::{now, out};
use crate::{
    admin::model::{ErrorInfo, KeyEntry, KeyList, NewKey, NewKeyReply},
    cli::{
        args::{AskArgs, KeyCommand},
        client::{Query, encode},
        error::CliError,
        out::{Format, Tone, note},
        reach::{self, Reached},
        words,
    },
    vault::{KeyKind, Vault},
};

pub(super) fn run(command: KeyCommand) -> Result<(), CliError> {
    match command {
        KeyCommand::Create { name, admin, ask } => {
            let kind = if admin {
                KeyKind::Admin
            } else {
                KeyKind::Function
            };
            create(&name, kind, &ask)
        }
        KeyCommand::List { ask } => list(&ask),
        KeyCommand::Rm { name, ask } => remove(&name, &ask),
    }
}

fn create(name: &KeyName, kind: KeyKind, ask: &AskArgs) -> Result<(), CliError> {
    let name = name.clone();
    let made = match reach::server_or_folder(ask.data.as_deref())? {
        Reached::Server(client) => client.post_json("/v1/keys", &NewKey { name, kind })?,
        Reached::Folder(folder) => {
            let key = Vault::open(&folder)?.create_key(&name, kind, now())?;
            NewKeyReply { name, kind, key }
        }
    };
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&made);
    }
    // The key alone goes to standard output, so that a script can take it.
    out.line(&made.key)?;
    note("Keep it: it is shown this once, only its hash is stored.");
    Ok(())
}

fn list(ask: &AskArgs) -> Result<(), CliError> {
    let list = match reach::server_or_folder(ask.data.as_deref())? {
        Reached::Server(client) => client.get("/v1/keys", Query::default())?,
        Reached::Folder(folder) => KeyList {
            keys: Vault::open(&folder)?
                .keys()
                .into_iter()
                .map(KeyEntry::from)
                .collect(),
        },
    };
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.keys.is_empty() {
        return out.line("No keys.");
    }
    let now = now();
    let row = |key: &KeyEntry| {
        vec![
            (Tone::Bold, key.name.to_string()),
            (Tone::Plain, key.kind.as_str().to_owned()),
            (Tone::Dim, words::relative(key.created_at.0, now)),
        ]
    };
    let rows = list.keys.iter().map(row).collect();
    out.table(&["KEY", "OPENS", "MADE"], rows)
}

fn remove(name: &KeyName, ask: &AskArgs) -> Result<(), CliError> {
    match reach::server_or_folder(ask.data.as_deref())? {
        Reached::Server(client) => client.delete(&format!("/v1/keys/{}", encode(name.as_str())))?,
        Reached::Folder(folder) => {
            if !Vault::open(&folder)?.remove_key(name)? {
                return Err(CliError::Refused(not_found("key", name)));
            }
        }
    }
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "removed": name })),
        Format::Text => out.line(&format!("{name} is removed")),
    }
}

/// What a server would have said.
pub(super) fn not_found(what: &str, name: impl std::fmt::Display) -> ErrorInfo {
    ErrorInfo {
        code: "not_found".to_owned(),
        message: format!("there is no {what} `{name}`"),
        help: None,
    }
}
