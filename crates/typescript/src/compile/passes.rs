//! The steps from TypeScript to JavaScript, in their order.

use swc_common::{Mark, SourceMap, comments::SingleThreadedComments, sync::Lrc};
use swc_ecma_ast::{Pass, Program};
use swc_ecma_transforms_base::{
    fixer::fixer,
    helpers::inject_helpers,
    hygiene::{self, hygiene_with_config},
    resolver,
};
use swc_ecma_transforms_module::{
    common_js::{self, FeatureFlag, common_js},
    path::Resolver,
    util::ImportInterop,
};
use swc_ecma_transforms_proposal::{
    decorator_2023_11::decorator_2023_11,
    decorators::{self, decorators},
    explicit_resource_management::explicit_resource_management,
};
use swc_ecma_transforms_react as react;
use swc_ecma_transforms_typescript::{
    Config, ImportsNotUsedAsValues, TsImportExportAssignConfig, TsxConfig, tsx, typescript,
};
use swc_ecma_visit::visit_mut_pass;

use super::{
    Source,
    fields::AssignFields,
    imports::{DynamicImports, JsonImports},
};
use crate::options::{Decorators, Fields, Format, Interop, Jsx, UnusedImports};

/// What tells names apart.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// Of the surroundings, such as `require`.
    pub(super) unresolved: Mark,
    /// Of the file's own.
    pub(super) top_level: Mark,
}

/// How one file is compiled.
pub(super) struct Plan<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) format: Format,
    pub(super) marks: Marks,
    pub(super) map: &'a Lrc<SourceMap>,
    pub(super) comments: &'a SingleThreadedComments,
}

impl Plan<'_> {
    /// Does all of it.
    pub(super) fn run(&self, mut program: Program) -> Program {
        let Marks {
            unresolved,
            top_level,
        } = self.marks;
        self.pass(&mut program, resolver(unresolved, top_level, true));
        self.decorators(&mut program);
        self.pass(&mut program, explicit_resource_management());
        if self.source.options.fields == Fields::Assign {
            self.pass(&mut program, visit_mut_pass(AssignFields));
        }
        self.strip(&mut program);
        if self.source.language.has_elements() {
            self.elements(&mut program);
        }
        match self.format {
            Format::Module => self.pass(&mut program, visit_mut_pass(JsonImports)),
            Format::CommonJs => self.common_js(&mut program),
        }
        // Those of all passes, also of the one before.
        self.pass(&mut program, inject_helpers(unresolved));
        let names = hygiene::Config {
            keep_class_names: true,
            top_level_mark: top_level,
            ..hygiene::Config::hygiene_default()
        };
        self.pass(&mut program, hygiene_with_config(names));
        self.pass(&mut program, fixer(None));
        program
    }

    fn pass(&self, program: &mut Program, mut pass: impl Pass) {
        pass.process(program);
    }

    fn decorators(&self, program: &mut Program) {
        let legacy = |emit_metadata| {
            decorators(decorators::Config {
                legacy: true,
                emit_metadata,
                use_define_for_class_fields: self.source.options.fields == Fields::Define,
            })
        };
        match self.source.options.decorators {
            Decorators::Standard => self.pass(program, decorator_2023_11()),
            Decorators::Legacy => self.pass(program, legacy(false)),
            Decorators::LegacyWithMetadata => self.pass(program, legacy(true)),
        }
    }

    /// Types go, enums and namespaces become objects.
    fn strip(&self, program: &mut Program) {
        let options = self.source.options;
        let keeps = options.unused_imports == UnusedImports::Keep;
        let config = Config {
            verbatim_module_syntax: keeps,
            import_not_used_as_values: ImportsNotUsedAsValues::Remove,
            import_export_assign_config: match self.format {
                Format::Module => TsImportExportAssignConfig::NodeNext,
                Format::CommonJs => TsImportExportAssignConfig::Preserve,
            },
            // Names of enums are looked up, as they are elsewhere.
            ts_enum_is_mutable: false,
            ..Config::default()
        };
        let Marks {
            unresolved,
            top_level,
        } = self.marks;
        match &options.jsx {
            // What elements become must not count as unused.
            Jsx::Classic { factory, fragment } if self.source.language.has_elements() => {
                let tsx_config = TsxConfig {
                    pragma: Some(factory.clone().into()),
                    pragma_frag: Some(fragment.clone().into()),
                };
                let (map, comments) = (Lrc::clone(self.map), self.comments.clone());
                let pass = tsx(map, config, tsx_config, comments, unresolved, top_level);
                self.pass(program, pass);
            }
            _ => self.pass(program, typescript(config, unresolved, top_level)),
        }
    }

    fn elements(&self, program: &mut Program) {
        let options = match &self.source.options.jsx {
            Jsx::Automatic {
                source,
                development,
            } => react::Options {
                runtime: Some(react::Runtime::Automatic),
                import_source: Some(source.as_str().into()),
                development: Some(*development),
                throw_if_namespace: Some(false),
                ..react::Options::default()
            },
            Jsx::Classic { factory, fragment } => react::Options {
                runtime: Some(react::Runtime::Classic),
                pragma: Some(factory.clone().into()),
                pragma_frag: Some(fragment.clone().into()),
                throw_if_namespace: Some(false),
                ..react::Options::default()
            },
        };
        let Marks {
            unresolved,
            top_level,
        } = self.marks;
        let (map, comments) = (Lrc::clone(self.map), Some(self.comments.clone()));
        let pass = react::react(map, comments, options, top_level, unresolved);
        self.pass(program, pass);
    }

    fn common_js(&self, program: &mut Program) {
        let unresolved = self.marks.unresolved;
        self.pass(program, visit_mut_pass(DynamicImports { unresolved }));
        let config = common_js::Config {
            import_interop: Some(match self.source.options.interop {
                Interop::Default => ImportInterop::Swc,
                Interop::None => ImportInterop::None,
            }),
            // What an ES module that imports this file finds the names by.
            export_interop_annotation: Some(true),
            ignore_dynamic: true,
            ..common_js::Config::default()
        };
        let features = FeatureFlag {
            support_block_scoping: true,
            support_arrow: true,
        };
        let pass = common_js(Resolver::Default, unresolved, config, features);
        self.pass(program, pass);
    }
}
