//! What a function may touch.

use std::sync::Arc;

use parking_lot::Mutex;
use wakeful_core::{
    manifest::Resource,
    name::{FunctionName, TopicName, TopicPattern},
    project::{Level, Project},
};

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
            Resource::Function(name) => {
                let declared = access.functions.contains(name);
                declared.then_some(Level::Write)
            }
            // Checked by topic, since many fit one pattern.
            Resource::Topic(_) => None,
        }
    }

    /// Whether the function may publish `topic`; else a text that says what to write.
    pub fn publish(&self, function: &FunctionName, topic: &TopicName) -> Result<(), String> {
        let live = self.live.load();
        let declared = live.version(function).is_some_and(|live| {
            live.function
                .access
                .topics
                .iter()
                .any(|it| it.matches(topic))
        });
        if declared {
            return Ok(());
        }
        self.lend(Undeclared {
            function: function.clone(),
            resource: Resource::Topic(to_allow(topic, &live.project)),
            level: Level::Write,
        })
    }

    /// Whether the function may invoke `callee`; likewise.
    pub fn invoke(&self, function: &FunctionName, callee: &FunctionName) -> Result<(), String> {
        let resource = Resource::Function(callee.clone());
        self.check(function, &resource, Level::Write).map(drop)
    }

    /// Whether the function could invoke `callee`, which it does not do: nothing is reported.
    pub fn reaches(&self, function: &FunctionName, callee: &FunctionName) -> bool {
        let resource = Resource::Function(callee.clone());
        self.mode == Mode::Dev || self.declared(function, &resource).is_some()
    }

    /// The level that a function has, if it is at least `wanted`; else a text that says what to
    /// write.
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
        self.lend(Undeclared {
            function: function.clone(),
            resource: resource.clone(),
            level: wanted,
        })?;
        Ok(wanted)
    }

    /// In `dev` undeclared access is granted, and reported once.
    fn lend(&self, undeclared: Undeclared) -> Result<(), String> {
        if self.mode == Mode::Serve {
            return Err(refusal(&undeclared));
        }
        let mut seen = self.seen.lock();
        if !seen.contains(&undeclared) && seen.len() < MOST_SEEN {
            seen.push(undeclared.clone());
            drop(seen);
            (self.on_undeclared)(undeclared);
        }
        Ok(())
    }
}

/// What to write down for a topic: the declaration that it falls under, since topics may have
/// parts that are made up as they are published.
fn to_allow(topic: &TopicName, project: &Project) -> TopicPattern {
    let by_itself: Option<TopicPattern> = topic.as_str().parse().ok();
    let by_itself = by_itself.filter(|pattern| project.topics.contains_key(pattern));
    let fitting = || project.topics.keys().find(|it| it.matches(topic)).cloned();
    let all = || ">".parse().expect("`>` is a pattern");
    by_itself.or_else(fitting).unwrap_or_else(all)
}

/// The name by which the manifest's `access` knows a resource.
fn key(resource: &Resource) -> String {
    match resource {
        Resource::Bucket(name) => format!("bucket.{name}"),
        Resource::Database(name) => format!("database.{name}"),
        Resource::Topic(name) => format!("topic `{name}`"),
        Resource::Function(name) => format!("function `{name}`"),
    }
}

/// What is done with it.
const fn verb(access: &Undeclared) -> &'static str {
    match &access.resource {
        Resource::Bucket(_) | Resource::Database(_) => level_word(access.level),
        Resource::Topic(_) => "publish",
        Resource::Function(_) => "invoke",
    }
}

/// What to write into the manifest for it.
fn line(access: &Undeclared) -> String {
    let entry = match &access.resource {
        Resource::Topic(name) => format!("topic = [\"{name}\"]"),
        Resource::Function(name) => format!("function = [\"{name}\"]"),
        leveled => format!("{} = \"{}\"", key(leveled), level_word(access.level)),
    };
    format!(
        "add `access = {{ {entry} }}` to [function.{}]",
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
        verb(access),
        key(&access.resource),
        line(access)
    )
}
