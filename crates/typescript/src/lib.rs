//! TypeScript and JSX without a build step.
//!
//! [`compile()`] makes of one file what Node runs, with a map of where its lines came from.
//! [`Compiler`] does that for a copy of a project's code: it reads the `tsconfig.json` and
//! `package.json` that each file falls under, compiles what is new on all cores, takes the rest
//! from where it compiled it before, and writes an index that the worker resolves imports by.
//! Types are removed, not checked. What is compiled stays file by file: imports are resolved when
//! the code runs, also those with a computed name.

mod compile;
mod options;
mod tree;
mod tsconfig;

pub use compile::{Compiled, Source, SyntaxError, compile};
pub use options::{
    Decorators, Fields, Format, Interop, Jsx, Language, Options, PackageType, UnusedImports,
};
pub use tree::{Compiler, FOLDER, File, WriteError};
pub use tsconfig::{ConfigError, Paths, Place, TsConfig};
