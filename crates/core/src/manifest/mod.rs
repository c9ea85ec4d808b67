//! Reading `wakeful.toml`: from text to a [`Project`] in which every name, unit and reference was
//! checked, or to all that is wrong with the text at once, each mistake with its place.
//!
//! The way through: `document` parses TOML into a tree that keeps the place of everything,
//! `environment` merges one environment's settings over it, and `project`, `function`, `trigger`
//! and `routes` read the merged tree through `reader`; `flow` and `retry` read what a trigger, a
//! route or a function says of its deliveries. `sections` lists every key there is; the
//! reader knows no other, and `schema` is made from the same list. Nothing here opens a file:
//! whether a function's code exists is asked of [`Files`].

mod access;
mod code;
mod document;
mod duration;
mod environment;
mod events;
mod filter;
mod fix;
mod flow;
mod function;
mod keys;
mod problem;
mod project;
mod reader;
mod retry;
mod routes;
mod schedule;
mod schema;
mod sections;
#[cfg(test)]
mod sections_tests;
mod setting;
mod size;
mod topic;
mod trigger;

use std::path::Path;

pub use self::{
    duration::{InvalidDuration, parse_duration},
    filter::parse_filter,
    fix::{CannotEdit, Resource, add_access},
    problem::{Problem, Problems, render},
    schema::schema,
    size::{InvalidSize, parse_size},
};
use crate::{limits, name::EnvironmentName, project::Project};

/// The text of a manifest and the name under which it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as people know it, such as `wakeful.toml`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or nothing that can be read.
    Nothing,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// The project's folder, as far as a manifest needs to know it.
pub trait Files {
    /// What stands at `path`, which is relative to the project's folder.
    fn look(&self, path: &Path) -> Found;
}

impl<F: Fn(&Path) -> Found> Files for F {
    fn look(&self, path: &Path) -> Found {
        self(path)
    }
}

/// A manifest that was read without a mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it describes.
    pub project: Project,
    /// What is not wrong but should be known, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// Reads a manifest for one environment.
///
/// # Errors
/// All mistakes of the text, in its order. A syntax error hides the others, since nothing after it
/// can be told apart. The sections of other environments are checked as well.
pub fn load(
    source: &Source,
    environment: &EnvironmentName,
    files: &dyn Files,
) -> Result<Loaded, Problems> {
    let fail = |problems| Problems::new(source.clone(), problems);
    if source.text.len() > limits::MAX_MANIFEST {
        return Err(fail(vec![Problem::of_the_whole(format!(
            "the manifest has {} bytes; at most {} are read",
            source.text.len(),
            limits::MAX_MANIFEST
        ))]));
    }
    let document = document::parse(&source.text).map_err(|problem| fail(vec![problem]))?;
    project::read(&document, environment, files)
        .map(|(project, warnings)| Loaded { project, warnings })
        .map_err(fail)
}

/// The environments that a manifest declares, in the order of the text; none when it is no TOML.
pub fn environments(text: &str) -> Vec<EnvironmentName> {
    document::parse(text).map_or_else(
        |_| Vec::new(),
        |document| {
            environment::declared(&document)
                .map(|(name, _)| name)
                .collect()
        },
    )
}
