//! Compiling one file.

mod diagnose;
mod fields;
mod imports;
mod passes;
mod print;
mod syntax;

use std::panic::{AssertUnwindSafe, catch_unwind};

use swc_common::{
    FileName, GLOBALS, Globals, Mark, SourceMap,
    comments::{Comments, SingleThreadedComments},
    errors::HANDLER,
    sync::Lrc,
};
use swc_ecma_ast::{EsVersion, Program};
use swc_ecma_parser::{EsSyntax, Syntax, TsSyntax, parse_file_as_module};
use swc_ecma_transforms_base::helpers::{HELPERS, Helpers};

use self::{
    diagnose::Diagnoses,
    passes::{Marks, Plan},
    print::print,
};
use crate::options::{Format, Language, Options, PackageType};

/// A file that is to be compiled.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name without folders, which the map refers to.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
    /// What its name says.
    pub language: Language,
    /// What the nearest `package.json` says.
    pub package: PackageType,
    /// What `tsconfig.json` says.
    pub options: &'a Options,
}

/// What Node runs instead of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// JavaScript, with its map as a comment at the end.
    pub code: String,
    /// What kind of module it is.
    pub format: Format,
}

/// Why a file cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{line}:{column}: {message}")]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1, in UTF-16 code units.
    pub column: usize,
}

/// Makes of a file what Node runs: types go, and what Node does not know becomes what it knows.
///
/// A file with `import` or `export` is an ES module where its name or `package.json` says so, and
/// otherwise becomes CommonJS, as with `tsc`; unless it awaits at its top or asks for
/// `import.meta`, which only ES modules can.
pub fn compile(source: Source<'_>) -> Result<Compiled, SyntaxError> {
    let globals = Globals::new();
    // The compiler takes some mistakes, which no parser finds, for its own.
    let compiled = catch_unwind(AssertUnwindSafe(|| {
        GLOBALS.set(&globals, || within(source))
    }));
    compiled.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it does not say why");
        Err(SyntaxError {
            message: format!("the compiler gave up on this file: {said}"),
            line: 1,
            column: 1,
        })
    })
}

fn within(source: Source<'_>) -> Result<Compiled, SyntaxError> {
    let map: Lrc<SourceMap> = Lrc::default();
    let comments = SingleThreadedComments::default();
    let text = source.text.trim_start_matches('\u{feff}').to_owned();
    let file = map.new_source_file(FileName::Real(source.name.into()).into(), text);
    let mut errors = Vec::new();
    let parsed = parse_file_as_module(
        &file,
        syntax_of(source.language),
        EsVersion::EsNext,
        Some(&comments as &dyn Comments),
        &mut errors,
    );
    let module = match parsed {
        Ok(module) if errors.is_empty() => module,
        Ok(_) => return Err(diagnose::first(&map, &errors)),
        Err(error) => {
            errors.push(error);
            return Err(diagnose::first(&map, &errors));
        }
    };
    let format = format_of(&source, &module);
    let diagnoses = Diagnoses::default();
    let program = HANDLER.set(&diagnoses.handler(&map), || {
        HELPERS.set(&Helpers::new(false), || {
            let marks = Marks {
                unresolved: Mark::new(),
                top_level: Mark::new(),
            };
            let plan = Plan {
                source: &source,
                format,
                marks,
                map: &map,
                comments: &comments,
            };
            plan.run(Program::Module(module))
        })
    });
    match diagnoses.first() {
        Some(error) => Err(error),
        None => Ok(Compiled {
            code: print(&map, &program, source.name, format),
            format,
        }),
    }
}

fn syntax_of(language: Language) -> Syntax {
    match language {
        Language::Jsx => Syntax::Es(EsSyntax {
            jsx: true,
            decorators: true,
            decorators_before_export: true,
            auto_accessors: true,
            import_attributes: true,
            explicit_resource_management: true,
            ..EsSyntax::default()
        }),
        _ => Syntax::Typescript(TsSyntax {
            tsx: language.has_elements(),
            decorators: true,
            ..TsSyntax::default()
        }),
    }
}

fn format_of(source: &Source<'_>, module: &swc_ecma_ast::Module) -> Format {
    match (source.language, source.package) {
        (Language::Mts, _) => Format::Module,
        (Language::Cts, _) => Format::CommonJs,
        (_, PackageType::Module) => Format::Module,
        (_, PackageType::CommonJs) if syntax::needs_module(module) => Format::Module,
        (_, PackageType::CommonJs) => Format::CommonJs,
    }
}
