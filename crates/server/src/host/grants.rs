//! What a function may touch.

use std::{collections::HashSet, fmt, sync::Arc};

use parking_lot::Mutex;
use wakeful_core::{
    name::{BucketName, DatabaseName, FunctionName},
    project::Level,
};

use crate::{live::LiveCell, options::Mode};

/// Something of ours that a function touches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A bucket.
    Bucket(BucketName),
    /// A database.
    Database(DatabaseName),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(name) => write!(f, "bucket.{name}"),
            Self::Database(name) => write!(f, "database.{name}"),
        }
    }
}

/// Access that worked although the manifest does not declare it; said once each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Undeclared {
    /// Who.
    pub function: FunctionName,
    /// What.
    pub resource: Resource,
    /// How much.
    pub level: Level,
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = level_word(self.level);
        write!(
            f,
            "{} uses {} without saying so: add `access = {{ {} = \"{level}\" }}` to \
             [function.{}], or run `wakeful check --fix`; `serve` refuses it",
            self.function, self.resource, self.resource, self.function
        )
    }
}

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
    seen: Arc<Mutex<HashSet<Undeclared>>>,
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
            return Err(undeclared.refusal());
        }
        if self.seen.lock().insert(undeclared.clone()) {
            (self.on_undeclared)(undeclared);
        }
        Ok(wanted)
    }
}

impl Undeclared {
    fn refusal(&self) -> String {
        format!(
            "function `{}` may not {} {}: add `access = {{ {} = \"{}\" }}` to [function.{}]",
            self.function,
            level_word(self.level),
            self.resource,
            self.resource,
            level_word(self.level),
            self.function
        )
    }
}
