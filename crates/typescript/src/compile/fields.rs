//! `useDefineForClassFields: false`: fields are assigned in the constructor, after the base
//! class's and after parameters that are properties, and one without a value is none.

use swc_common::{DUMMY_SP, Spanned};
use swc_ecma_ast::{
    AssignExpr, AssignOp, AssignTarget, Class, ClassMember, ClassProp, Constructor, Expr,
    MemberExpr, MemberProp, PropName, SimpleAssignTarget, ThisExpr,
};
use swc_ecma_utils::{constructor::inject_after_super, default_constructor_with_span};
use swc_ecma_visit::{VisitMut, VisitMutWith};

/// Moves the fields of all classes.
pub(super) struct AssignFields;

impl VisitMut for AssignFields {
    fn visit_mut_class(&mut self, class: &mut Class) {
        class.visit_mut_children_with(self);
        let mut assignments = Vec::new();
        class.body.retain_mut(|member| match member {
            ClassMember::ClassProp(field) if is_moved(field) => {
                assignments.extend(assignment(field));
                false
            }
            _ => true,
        });
        if !assignments.is_empty() {
            inject_after_super(constructor(class), assignments);
        }
    }
}

/// Computed names stay where they are computed, and so do their fields.
fn is_moved(field: &ClassProp) -> bool {
    let is_own = !field.is_static && !field.declare && !field.is_abstract;
    is_own && field.decorators.is_empty() && !matches!(field.key, PropName::Computed(_))
}

/// `this.field = value`; `None` when it has no value.
fn assignment(field: &mut ClassProp) -> Option<Box<Expr>> {
    let value = field.value.take()?;
    let name = match &field.key {
        PropName::Ident(name) => MemberProp::Ident(name.clone()),
        key => MemberProp::Computed(swc_ecma_ast::ComputedPropName {
            span: key.span(),
            expr: match key {
                PropName::Str(text) => Box::new(text.clone().into()),
                PropName::Num(number) => Box::new(number.clone().into()),
                PropName::BigInt(number) => Box::new(number.clone().into()),
                _ => return None,
            },
        }),
    };
    let target = MemberExpr {
        span: field.span,
        obj: Box::new(ThisExpr { span: DUMMY_SP }.into()),
        prop: name,
    };
    Some(Box::new(Expr::Assign(AssignExpr {
        span: field.span,
        op: AssignOp::Assign,
        left: AssignTarget::Simple(SimpleAssignTarget::Member(target)),
        right: value,
    })))
}

/// The constructor, made where there is none.
fn constructor(class: &mut Class) -> &mut Constructor {
    let is_it =
        |member: &ClassMember| matches!(member, ClassMember::Constructor(it) if it.body.is_some());
    let at = class.body.iter().position(is_it).unwrap_or_else(|| {
        let made = default_constructor_with_span(class.super_class.is_some(), class.span);
        class.body.insert(0, ClassMember::Constructor(made));
        0
    });
    match &mut class.body[at] {
        ClassMember::Constructor(constructor) => constructor,
        _ => unreachable!("the member was found to be a constructor, or was made one"),
    }
}
