//! The first screen: listeners, functions, and what wakes them.

use std::{path::Path, time::Duration};

use wakeful_core::{
    name::Scope,
    project::{On, Project},
};

use super::{Terminal, paint};
use crate::{
    addresses::AddressFile,
    live::in_words,
    options::{DATA_FOLDER, Mode},
};

/// A server that is ready.
pub struct Started<'a> {
    /// What it serves.
    pub scope: &'a Scope,
    /// How.
    pub mode: Mode,
    /// The project.
    pub project: &'a Project,
    /// Where its listeners are.
    pub addresses: &'a AddressFile,
    /// The project's folder.
    pub folder: &'a Path,
    /// The data folder.
    pub data: &'a Path,
    /// The admin key, at the very first start of `serve`: it is shown once.
    pub first_admin_key: Option<&'a str>,
    /// Since the command was given.
    pub took: Duration,
}

/// How the other commands find this server.
fn reached(folder: &Path, data: &Path) -> String {
    if data == folder.join(DATA_FOLDER) {
        return "`wakeful` commands in the project's folder find it by themselves".to_owned();
    }
    let data = data.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@".contains(c);
    let quoted = match data.chars().all(plain) {
        true => data,
        false => format!("'{}'", data.replace('\'', r"'\''")),
    };
    format!("for `wakeful` commands: export WAKEFUL_DATA={quoted}")
}

impl Terminal {
    /// Shows that all listeners are ready, and what the project has.
    pub fn started(&self, started: &Started<'_>) {
        let Started {
            scope, addresses, ..
        } = started;
        let paint = self.paint;
        let mut lines = vec![
            String::new(),
            format!(
                "{} {}",
                paint.bold(&format!("Wakeful {}", env!("CARGO_PKG_VERSION"))),
                paint.dim(&scope.to_string())
            ),
            String::new(),
            format!(
                "  functions   {}",
                paint.cyan(&format!("http://{}", addresses.http))
            ),
            format!(
                "  admin API   {}   {}",
                paint.cyan(&format!("http://{}", addresses.admin)),
                paint.dim(&format!("({})", reached(started.folder, started.data)))
            ),
            format!(
                "  AWS (S3)    {}   {}",
                paint.cyan(&format!("http://{}", addresses.aws)),
                paint.dim(&format!("access key {}", addresses.aws_access_key))
            ),
        ];
        if let Some(key) = started.first_admin_key {
            lines.push(String::new());
            lines.push(format!("  admin key   {}", paint.bold(key)));
            lines.push("              shown this once: keep it in a safe place".into());
        }
        lines.push(String::new());
        lines.extend(self.functions(started));
        lines.push(String::new());
        let took = paint::duration(started.took);
        let watching = match started.mode {
            Mode::Dev => "Edits are live at once. ",
            Mode::Serve => "",
        };
        lines.push(paint.dim(&format!("Ready in {took}. {watching}Ctrl-C stops.")));
        self.say(&lines.join("\n"));
    }

    fn functions(&self, started: &Started<'_>) -> Vec<String> {
        let functions = started.project.functions.values();
        let widest = functions
            .clone()
            .map(|f| f.name.as_str().len())
            .max()
            .unwrap_or(0)
            .max(10);
        let mut lines = Vec::new();
        for function in functions {
            let mut name = function.name.to_string();
            if function.triggers.is_empty() {
                lines.push(format!(
                    "  {name:widest$}  {}",
                    self.paint.dim("woken by invoke only")
                ));
            }
            for trigger in &function.triggers {
                let what = match &trigger.on {
                    On::Http(http) => {
                        let method = http.method.as_deref().unwrap_or("ANY");
                        let url = format!("http://{}{}", started.addresses.http, http.path);
                        format!("{method:6} {}", self.paint.cyan(&url))
                    }
                    _ => in_words(trigger),
                };
                lines.push(format!(
                    "  {}  {what}",
                    self.paint.bold(&format!("{name:widest$}"))
                ));
                name.clear();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_server_is_found() {
        let check = |data: &str, expected: &str| {
            let text = reached(Path::new("/p/shop"), Path::new(data));
            assert!(text.contains(expected), "{text}");
        };
        check("/p/shop/.wakeful", "by themselves");
        check("/var/lib/wakeful", "export WAKEFUL_DATA=/var/lib/wakeful");
        check("/it's here", r"export WAKEFUL_DATA='/it'\''s here'");
    }
}
