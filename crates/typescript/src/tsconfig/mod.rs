//! What `tsconfig.json` says, with all that it extends.
//!
//! Only what matters when code runs is read; everything else is between the user and their editor.

mod extends;
mod jsonc;
mod place;
mod raw;

use std::path::{Path, PathBuf};

pub use self::place::Place;
use self::{
    extends::{Chain, read_chain},
    raw::CompilerOptions,
};
use crate::{
    compile::SyntaxError,
    options::{Decorators, Fields, Interop, Jsx, Options, UnusedImports},
};

/// What a project's code is compiled by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TsConfig {
    /// How files are compiled.
    pub options: Options,
    /// What imports mean beyond Node's rules.
    pub paths: Paths,
}

/// `paths` and `baseUrl`. Relative paths are relative to the project's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Paths {
    /// Where names that are no relative paths are looked for first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// Patterns, such as `@/*`, with where to look, such as `src/*`; in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<(String, Vec<PathBuf>)>,
}

/// Why a `tsconfig.json` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Which, relative to the project's folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub error: SyntaxError,
}

impl TsConfig {
    /// Reads a file, relative to the project's folder.
    pub fn read(place: &Place<'_>, file: &Path) -> Result<Self, ConfigError> {
        let Chain { options, folder } = read_chain(place, file)?;
        Ok(Self {
            options: options_of(&options),
            paths: paths_of(&options, &folder),
        })
    }
}

fn options_of(raw: &CompilerOptions) -> Options {
    let is = |option: Option<bool>| option == Some(true);
    let decorators = match (
        is(raw.experimental_decorators),
        is(raw.emit_decorator_metadata),
    ) {
        (false, _) => Decorators::Standard,
        (true, false) => Decorators::Legacy,
        (true, true) => Decorators::LegacyWithMetadata,
    };
    let defines = raw
        .use_define_for_class_fields
        .unwrap_or_else(|| raw.target.as_deref().is_none_or(has_fields));
    let keeps = is(raw.verbatim_module_syntax) || is(raw.preserve_value_imports);
    Options {
        decorators,
        fields: if defines {
            Fields::Define
        } else {
            Fields::Assign
        },
        unused_imports: if keeps {
            UnusedImports::Keep
        } else {
            UnusedImports::Remove
        },
        interop: match raw.es_module_interop {
            Some(false) => Interop::None,
            _ => Interop::Default,
        },
        jsx: jsx_of(raw),
    }
}

/// Whether the language of this name has fields of classes: ES2022 and later.
fn has_fields(target: &str) -> bool {
    let target = target.to_ascii_lowercase();
    match target.strip_prefix("es").map(str::parse::<u32>) {
        Some(Ok(year)) => year >= 2022,
        // `esnext`
        _ => true,
    }
}

fn jsx_of(raw: &CompilerOptions) -> Jsx {
    if raw.jsx.as_deref() == Some("react") {
        let or = |text: &Option<String>, usual: &str| text.clone().unwrap_or_else(|| usual.into());
        return Jsx::Classic {
            factory: or(&raw.jsx_factory, "React.createElement"),
            fragment: or(&raw.jsx_fragment_factory, "React.Fragment"),
        };
    }
    Jsx::Automatic {
        source: raw
            .jsx_import_source
            .clone()
            .unwrap_or_else(|| "react".into()),
        development: raw.jsx.as_deref() == Some("react-jsxdev"),
    }
}

/// Paths are relative to the file that says them, `${configDir}` to the one that all began with.
fn paths_of(raw: &CompilerOptions, config_folder: &Path) -> Paths {
    let located = |folder: &Path, text: &str| match text.strip_prefix("${configDir}") {
        Some(rest) => place::join(config_folder, rest.trim_start_matches('/')),
        None => place::join(folder, text),
    };
    let base = raw
        .base_url
        .as_ref()
        .map(|said| located(&said.folder, &said.value));
    let patterns = raw.paths.as_ref().map(|said| {
        let from = base.as_deref().unwrap_or(&said.folder);
        let targets = |texts: &Vec<String>| texts.iter().map(|it| located(from, it)).collect();
        said.value
            .iter()
            .map(|(pattern, texts)| (pattern.clone(), targets(texts)))
            .collect()
    });
    Paths {
        base,
        patterns: patterns.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
