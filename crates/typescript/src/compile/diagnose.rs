//! What is wrong with a file, at its place.

use std::{cell::RefCell, rc::Rc};

use swc_common::{
    SourceMap, Span, Spanned,
    errors::{DiagnosticBuilder, Emitter, Handler},
    sync::Lrc,
};
use swc_ecma_parser::error::Error;

use super::SyntaxError;

/// The error that stands first in the file; there is at least one.
pub(super) fn first(map: &SourceMap, errors: &[Error]) -> SyntaxError {
    let first = errors.iter().min_by_key(|error| error.span().lo);
    match first {
        Some(error) => at(map, error.span(), error.kind().msg().into_owned()),
        None => SyntaxError {
            message: "the file cannot be parsed".into(),
            line: 1,
            column: 1,
        },
    }
}

fn at(map: &SourceMap, span: Span, message: String) -> SyntaxError {
    let (line, column) = match map.try_lookup_char_pos(span.lo) {
        Ok(place) => {
            let before = |text: std::borrow::Cow<'_, str>| {
                let chars = text.chars().take(place.col.0);
                chars.map(char::len_utf16).sum::<usize>() + 1
            };
            let line = place.file.get_line(place.line.saturating_sub(1));
            (place.line, line.map_or(place.col.0 + 1, before))
        }
        Err(_) => (1, 1),
    };
    SyntaxError {
        message,
        line,
        column,
    }
}

/// What the passes find wrong.
#[derive(Default)]
pub(super) struct Diagnoses(Rc<RefCell<Option<SyntaxError>>>);

impl Diagnoses {
    /// What passes report to.
    pub(super) fn handler(&self, map: &Lrc<SourceMap>) -> Handler {
        let collector = Collector {
            map: Lrc::clone(map),
            first: Rc::clone(&self.0),
        };
        Handler::with_emitter(false, false, Box::new(collector))
    }

    /// What was reported first.
    pub(super) fn first(&self) -> Option<SyntaxError> {
        self.0.borrow_mut().take()
    }
}

struct Collector {
    map: Lrc<SourceMap>,
    first: Rc<RefCell<Option<SyntaxError>>>,
}

impl Emitter for Collector {
    fn emit(&mut self, found: &mut DiagnosticBuilder<'_>) {
        let span = found.span.primary_span().unwrap_or_default();
        let error = at(&self.map, span, found.message());
        self.first.borrow_mut().get_or_insert(error);
    }
}
