//! Imports that Node would refuse, or take otherwise than TypeScript.

use swc_common::{DUMMY_SP, Mark, SyntaxContext};
use swc_ecma_ast::{
    ArrowExpr, ArrowFunctionBody, BindingIdent, CallExpr, Callee, Expr, ExprOrSpread, Ident,
    ImportDecl, KeyValueProp, ObjectLit, Pat, Prop, PropName, PropOrSpread, Str,
};
use swc_ecma_utils::private_ident;
use swc_ecma_visit::{VisitMut, VisitMutWith};

/// The function that a CommonJS file imports by at run time; see [`DYNAMIC_IMPORT`].
pub(super) const DYNAMIC_IMPORT_NAME: &str = "__wakeful_import";

/// `import()` in CommonJS: like `require`, so that the default export is the same one as with
/// other imports of the same file, and like Node's own for what `require` cannot take. It stands
/// at the end of the file, where it moves no line.
pub(super) const DYNAMIC_IMPORT: &str = r"
function __wakeful_import(specifier, require, imported) {
  return new Promise((resolve, reject) => {
    let name = `${specifier}`;
    if (/^(?:data|https?):/.test(name)) return resolve(imported(name));
    let found;
    try {
      if (name.startsWith('file:')) name = require('node:url').fileURLToPath(name);
      found = require(name);
    } catch (error) {
      const mayImport = /^ERR_REQUIRE_(?:ESM|ASYNC_MODULE|CYCLE_MODULE)$/.test(error?.code);
      return mayImport ? resolve(imported(specifier)) : reject(error);
    }
    if (Object(found) !== found) return resolve({ default: found });
    const isModule = found.__esModule || Object.prototype.toString.call(found) === '[object Module]';
    if (isModule) return resolve(typeof found.then === 'function' ? { ...found, then: undefined } : found);
    return resolve({ ...found, default: found, then: undefined });
  });
}
";

/// In CommonJS: `import(x)` becomes a call of [`DYNAMIC_IMPORT_NAME`].
pub(super) struct DynamicImports {
    pub(super) unresolved: Mark,
}

impl VisitMut for DynamicImports {
    fn visit_mut_call_expr(&mut self, call: &mut CallExpr) {
        call.visit_mut_children_with(self);
        if !matches!(call.callee, Callee::Import(_)) || call.args.len() != 1 {
            return;
        }
        let global = |name: &str| {
            let context = SyntaxContext::empty().apply_mark(self.unresolved);
            Expr::from(Ident::new(name.into(), DUMMY_SP, context))
        };
        let name = private_ident!("name");
        let argument = |expr: Expr| ExprOrSpread {
            spread: None,
            expr: Box::new(expr),
        };
        let own = CallExpr {
            callee: call.callee.clone(),
            args: vec![argument(name.clone().into())],
            ..CallExpr::default()
        };
        let imported = ArrowExpr {
            params: vec![Pat::Ident(BindingIdent::from(name))],
            body: Box::new(ArrowFunctionBody::Expr(Box::new(own.into()))),
            ..ArrowExpr::default()
        };
        call.callee = Callee::Expr(Box::new(global(DYNAMIC_IMPORT_NAME)));
        call.args.push(argument(global("require")));
        call.args.push(argument(imported.into()));
    }
}

/// In ES modules: `import x from './x.json'` says that it is JSON, which Node insists on.
pub(super) struct JsonImports;

impl VisitMut for JsonImports {
    fn visit_mut_import_decl(&mut self, import: &mut ImportDecl) {
        let is_json = import
            .src
            .value
            .as_str()
            .is_some_and(|name| name.ends_with(".json"));
        if is_json && import.with.is_none() {
            let attribute = KeyValueProp {
                key: PropName::Ident("type".into()),
                value: Box::new(Expr::from(Str::from("json"))),
            };
            import.with = Some(Box::new(ObjectLit {
                span: DUMMY_SP,
                props: vec![PropOrSpread::Prop(Box::new(Prop::KeyValue(attribute)))],
            }));
        }
    }
}
