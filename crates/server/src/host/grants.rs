//! What a function may touch.

use std::sync::Arc;

use parking_lot::Mutex;
use wakeful_core::{manifest::Resource, name::FunctionName, project::Level};

use crate::{live::LiveCell, options::Mode, undeclared::Undeclared};

/// Kinds of undeclared access that are told apart; more come only from code that makes up names.
const MOST_SEEN: usize = 1000;

/// The word of the manifest for a level.
pub const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Read => "read",
        Level::Write => "write",
    }
}

/// Told of undeclared access, once for each kind; must not block.
pub type OnUndeclared = Arc<dyn Fn(Undeclared) + Send + Sync>;

/// Decides what functions may touch. Cheap to clone.
#[derive(Clone)]
pub struct Grants {
    live: LiveCell,
    mode: Mode,
    seen: Arc<Mutex<Vec<Undeclared>>>,
    on_undeclared: OnUndeclared,
}

impl Grants {
    /// By what the live manifest declares.
    pub fn new(live: LiveCell, mode: Mode, on_undeclared: OnUndeclared) -> Self {
        Self {
            live,
            mode,
            seen: Arc::default(),
            on_undeclared,
        }
    }

    /// The level that a function's manifest entry gives it.
    fn declared(&self, function: &FunctionName, resource: &Resource) -> Option<Level> {
        let live = self.live.load();
        let access = &live.version(function)?.function.access;
        match resource {
            Resource::Bucket(name) => access.buckets.get(name).copied(),
            Resource::Database(name) => access.databases.get(name).copied(),
        }
    }

    /// The level that a function has, if it is at least `wanted`; else a text that says what to
    /// write. In `dev` undeclared access is granted, and reported once.
    pub fn check(
        &self,
        function: &FunctionName,
        resource: &Resource,
        wanted: Level,
    ) -> Result<Level, String> {
        if let Some(level) = self
            .declared(function, resource)
            .filter(|level| *level >= wanted)
        {
            return Ok(level);
        }
        let undeclared = Undeclared {
            function: function.clone(),
            resource: resource.clone(),
            level: wanted,
        };
        if self.mode == Mode::Serve {
            return Err(refusal(&undeclared));
        }
        let mut seen = self.seen.lock();
        if !seen.contains(&undeclared) && seen.len() < MOST_SEEN {
            seen.push(undeclared.clone());
            drop(seen);
            (self.on_undeclared)(undeclared);
        }
        Ok(wanted)
    }
}

/// The name by which the manifest's `access` knows a resource.
fn key(resource: &Resource) -> String {
    match resource {
        Resource::Bucket(name) => format!("bucket.{name}"),
        Resource::Database(name) => format!("database.{name}"),
    }
}

/// What to write into the manifest for it.
fn line(access: &Undeclared) -> String {
    format!(
        "add `access = {{ {} = \"{}\" }}` to [function.{}]",
        key(&access.resource),
        level_word(access.level),
        access.function
    )
}

/// What `dev` says about access that it let pass.
pub fn advice(access: &Undeclared) -> String {
    format!(
        "{} uses {} without saying so: {}, or run `wakeful check --fix`; `serve` refuses it",
        access.function,
        key(&access.resource),
        line(access)
    )
}

fn refusal(access: &Undeclared) -> String {
    format!(
        "function `{}` may not {} {}: {}",
        access.function,
        level_word(access.level),
        key(&access.resource),
        line(access)
    )
}
