//! How a file is compiled.

use std::path::Path;

/// What the name of a file says about what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// `.ts`
    Ts,
    /// `.tsx`
    Tsx,
    /// `.mts`: TypeScript, always an ES module.
    Mts,
    /// `.cts`: TypeScript, always CommonJS.
    Cts,
    /// `.jsx`
    Jsx,
}

impl Language {
    /// By the ending of the name; `None` for what needs no compiling, such as `.js` and `.d.ts`.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (stem, extension) = name.rsplit_once('.')?;
        let is_declaration = stem.ends_with(".d") || name.contains(".d.") && extension == "ts";
        match extension {
            "ts" | "mts" | "cts" if is_declaration => None,
            "ts" => Some(Self::Ts),
            "tsx" => Some(Self::Tsx),
            "mts" => Some(Self::Mts),
            "cts" => Some(Self::Cts),
            "jsx" => Some(Self::Jsx),
            _ => None,
        }
    }

    /// Whether it may hold elements such as `<b/>`.
    pub(crate) fn has_elements(self) -> bool {
        matches!(self, Self::Tsx | Self::Jsx)
    }
}

/// What kind of module the nearest `package.json` says a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PackageType {
    /// `"type": "module"`
    Module,
    /// `"type": "commonjs"`, or nothing.
    #[default]
    CommonJs,
}

/// What kind of module a compiled file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An ES module.
    Module,
    /// A CommonJS module.
    CommonJs,
}

/// Which decorators a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Decorators {
    /// Those of the language, as of November 2023.
    #[default]
    Standard,
    /// `experimentalDecorators`
    Legacy,
    /// `experimentalDecorators` with `emitDecoratorMetadata`
    LegacyWithMetadata,
}

/// What becomes of a field of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fields {
    /// A field of the language: defined, also when it has no value.
    #[default]
    Define,
    /// `useDefineForClassFields: false`: assigned in the constructor, if it has a value.
    Assign,
}

/// What becomes of imports that only name types or nothing that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnusedImports {
    /// They go.
    #[default]
    Remove,
    /// `verbatimModuleSyntax` and its forerunners: only what is marked with `type` goes.
    Keep,
}

/// How CommonJS modules are seen by `import`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Interop {
    /// `import x` is what `exports.default` says, or else all of the exports.
    #[default]
    Default,
    /// `esModuleInterop: false`: `import * as x` is what `require` answers, also a function.
    None,
}

/// What becomes of elements such as `<b/>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Jsx {
    /// Calls of what `SOURCE/jsx-runtime` exports.
    Automatic {
        /// `jsxImportSource`, usually `react`.
        source: String,
        /// `react-jsxdev`: `SOURCE/jsx-dev-runtime`, which knows places.
        development: bool,
    },
    /// Calls of functions that the file has to import.
    Classic {
        /// `jsxFactory`, usually `React.createElement`.
        factory: String,
        /// `jsxFragmentFactory`, usually `React.Fragment`.
        fragment: String,
    },
}

impl Default for Jsx {
    fn default() -> Self {
        Self::Automatic {
            source: "react".into(),
            development: false,
        }
    }
}

/// What `tsconfig.json` says about compiling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// Which decorators.
    pub decorators: Decorators,
    /// How fields of classes come about.
    pub fields: Fields,
    /// What becomes of unused imports.
    pub unused_imports: UnusedImports,
    /// How CommonJS is imported.
    pub interop: Interop,
    /// Elements.
    pub jsx: Jsx,
}
