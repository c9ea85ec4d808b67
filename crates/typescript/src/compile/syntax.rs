//! What in a file only ES modules can have.

use swc_ecma_ast::{
    ArrowExpr, AwaitExpr, Constructor, ForOfStmt, Function, MetaPropExpr, MetaPropKind, Module,
    UsingDecl,
};
use swc_ecma_visit::{Visit, VisitWith};

/// Whether it awaits at its top or asks for `import.meta`.
pub(super) fn needs_module(module: &Module) -> bool {
    let mut search = Search::default();
    module.visit_with(&mut search);
    search.found
}

#[derive(Default)]
struct Search {
    /// Functions around, which await for themselves.
    functions: usize,
    found: bool,
}

impl Search {
    fn inside(&mut self, visit: impl FnOnce(&mut Self)) {
        self.functions += 1;
        visit(self);
        self.functions -= 1;
    }

    fn awaits(&mut self) {
        self.found |= self.functions == 0;
    }
}

impl Visit for Search {
    fn visit_meta_prop_expr(&mut self, node: &MetaPropExpr) {
        self.found |= node.kind == MetaPropKind::ImportMeta;
    }

    fn visit_await_expr(&mut self, node: &AwaitExpr) {
        self.awaits();
        node.visit_children_with(self);
    }

    fn visit_for_of_stmt(&mut self, node: &ForOfStmt) {
        if node.is_await {
            self.awaits();
        }
        node.visit_children_with(self);
    }

    fn visit_using_decl(&mut self, node: &UsingDecl) {
        if node.is_await {
            self.awaits();
        }
        node.visit_children_with(self);
    }

    fn visit_function(&mut self, node: &Function) {
        self.inside(|it| node.visit_children_with(it));
    }

    fn visit_arrow_expr(&mut self, node: &ArrowExpr) {
        self.inside(|it| node.visit_children_with(it));
    }

    fn visit_constructor(&mut self, node: &Constructor) {
        self.inside(|it| node.visit_children_with(it));
    }
}
