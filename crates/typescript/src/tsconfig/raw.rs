//! The options of one file, or of several laid over each other.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Something that is said relative to where it is said.
#[derive(Debug, Clone)]
pub(super) struct Said<T> {
    pub(super) value: T,
    /// Of the file that says it, relative to the project's folder.
    pub(super) folder: PathBuf,
}

/// Patterns with where to look, as they are written.
pub(super) type Patterns = Vec<(String, Vec<String>)>;

/// `compilerOptions`, as far as they matter.
#[derive(Debug, Clone, Default)]
pub(super) struct CompilerOptions {
    pub(super) experimental_decorators: Option<bool>,
    pub(super) emit_decorator_metadata: Option<bool>,
    pub(super) use_define_for_class_fields: Option<bool>,
    pub(super) target: Option<String>,
    pub(super) verbatim_module_syntax: Option<bool>,
    pub(super) preserve_value_imports: Option<bool>,
    pub(super) es_module_interop: Option<bool>,
    pub(super) jsx: Option<String>,
    pub(super) jsx_factory: Option<String>,
    pub(super) jsx_fragment_factory: Option<String>,
    pub(super) jsx_import_source: Option<String>,
    pub(super) base_url: Option<Said<String>>,
    pub(super) paths: Option<Said<Patterns>>,
}

impl CompilerOptions {
    /// Lays what one file says over what was said before.
    pub(super) fn lay_over(&mut self, options: &Map<String, Value>, folder: &Path) {
        fn set<T: for<'a> Deserialize<'a>>(
            field: &mut Option<T>,
            options: &Map<String, Value>,
            name: &str,
        ) {
            // What has another type is the editor's to complain about.
            let value = options.get(name).cloned();
            if let Some(value) = value.and_then(|value| serde_json::from_value(value).ok()) {
                *field = Some(value);
            }
        }
        set(
            &mut self.experimental_decorators,
            options,
            "experimentalDecorators",
        );
        set(
            &mut self.emit_decorator_metadata,
            options,
            "emitDecoratorMetadata",
        );
        set(
            &mut self.use_define_for_class_fields,
            options,
            "useDefineForClassFields",
        );
        set(&mut self.target, options, "target");
        set(
            &mut self.verbatim_module_syntax,
            options,
            "verbatimModuleSyntax",
        );
        set(
            &mut self.preserve_value_imports,
            options,
            "preserveValueImports",
        );
        set(&mut self.es_module_interop, options, "esModuleInterop");
        set(&mut self.jsx, options, "jsx");
        set(&mut self.jsx_factory, options, "jsxFactory");
        set(
            &mut self.jsx_fragment_factory,
            options,
            "jsxFragmentFactory",
        );
        set(&mut self.jsx_import_source, options, "jsxImportSource");
        let folder = || folder.to_owned();
        if let Some(Value::String(value)) = options.get("baseUrl") {
            self.base_url = Some(Said {
                value: value.clone(),
                folder: folder(),
            });
        }
        if let Some(Value::Object(patterns)) = options.get("paths") {
            let value = patterns.iter().map(|(pattern, targets)| {
                let targets = targets.as_array().into_iter().flatten();
                let texts = targets.filter_map(|it| it.as_str().map(str::to_owned));
                (pattern.clone(), texts.collect())
            });
            self.paths = Some(Said {
                value: value.collect(),
                folder: folder(),
            });
        }
    }
}
