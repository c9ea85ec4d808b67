//! A failure in words, for people: what happened, where, and the stack where it says more.

use wakeful_core::delivery::FailureKind;

/// A failure as it is shown: nothing of it twice.
#[derive(Debug, PartialEq, Eq)]
pub struct FailureText {
    /// What happened, and for code that does not load also where: a line or several.
    pub head: String,
    /// The stack, line by line, without what the head says already.
    pub stack: Vec<String>,
}

impl FailureText {
    /// From the parts of a failure.
    pub fn of(kind: FailureKind, name: &str, message: &str, stack: Option<&str>) -> Self {
        let head = in_words(kind, name, message);
        let stack = stack.unwrap_or_default();
        // The message of code that does not load has the place and an excerpt. Its stack has
        // them again, among frames of Node's loader.
        let placed = kind == FailureKind::Load && message.lines().nth(1).is_some();
        let stack = if placed {
            Vec::new()
        } else {
            unsaid(&head, message, stack)
        };
        Self { head, stack }
    }
}

/// A failure on one line: name and message, up to its first line break.
pub(super) fn headline(kind: FailureKind, name: &str, message: &str) -> String {
    in_words(kind, name, message.lines().next().unwrap_or_default())
}

/// What the kind of a failure adds to its text; nothing where the text says it already.
pub(super) fn addition(kind: FailureKind, name: &str) -> Option<&'static str> {
    if kind != FailureKind::Load && is_ours(kind, name) {
        return None;
    }
    match kind {
        FailureKind::UserError => None,
        FailureKind::Timeout => Some("it took longer than its timeout"),
        FailureKind::MissingResponse => Some("it ended without an answer"),
        FailureKind::BlockedLoop => Some("it blocked its event loop, and was ended"),
        FailureKind::OutOfMemory => Some("its worker ran out of memory"),
        FailureKind::Crash | FailureKind::Suspect => Some("its worker ended"),
        FailureKind::Bystander => Some("its worker ended through another attempt"),
        FailureKind::Load => Some("the code cannot be loaded: nothing was run"),
        FailureKind::NotStarted => Some("it was not started"),
        FailureKind::Interrupted => Some("it was interrupted"),
    }
}

/// Whether we, not user code, named and described the failure.
fn is_ours(kind: FailureKind, name: &str) -> bool {
    name.is_empty() || name == kind.as_str() || name == "caller_gone"
}

fn in_words(kind: FailureKind, name: &str, message: &str) -> String {
    match kind {
        FailureKind::NotStarted if is_ours(kind, name) => format!("not started: {message}"),
        // Our descriptions are sentences of their own.
        _ if is_ours(kind, name) => message.to_owned(),
        _ => format!("{name}: {message}"),
    }
}

/// The lines of a stack that the head does not say. V8 repeats name and message at its top.
fn unsaid(head: &str, message: &str, stack: &str) -> Vec<String> {
    let kept = |line: &&str| !line.trim().is_empty();
    if let Some(rest) = stack.strip_prefix(head) {
        return rest.lines().filter(kept).map(str::to_owned).collect();
    }
    let first = message.lines().next().unwrap_or_default();
    let is_frame = |line: &str| line.trim_start().starts_with("at ");
    let is_said = |line: &str| {
        head.lines().any(|said| said.trim() == line.trim())
            || !first.is_empty() && line.ends_with(first)
    };
    let mut among_frames = false;
    let lines = stack.lines().filter(kept).filter(|line| {
        among_frames |= is_frame(line);
        among_frames || !is_said(line)
    });
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureKind::{Interrupted, Load, NotStarted, Timeout, UserError};

    fn check(kind: FailureKind, name: &str, message: &str, stack: &str, expected: &[&str]) {
        let text = FailureText::of(kind, name, message, Some(stack));
        let shown: Vec<_> = text
            .head
            .lines()
            .map(str::to_owned)
            .chain(text.stack)
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_is_said_twice() {
        let stack = "TypeError: no\n    at f (a.js:1:2)\n    at g (a.js:3:4)";
        let frames = [
            "TypeError: no",
            "    at f (a.js:1:2)",
            "    at g (a.js:3:4)",
        ];
        check(UserError, "TypeError", "no", stack, &frames);
        // The stack has the name of the class, the failure that of the error.
        let other = "Error: no\n    at f (a.js:1:2)";
        check(
            UserError,
            "Oops",
            "no",
            other,
            &["Oops: no", "    at f (a.js:1:2)"],
        );
        let several = "Error: a\nb\n    at f (a.js:1:2)";
        let expected = ["Error: a", "b", "    at f (a.js:1:2)"];
        check(UserError, "Error", "a\nb", several, &expected);
        // What a handler imports late has its place above the message.
        let late = "/p/b.js:3\n  foo(;\n      ^\n\nSyntaxError: Unexpected\n    at f (a.js:1:2)";
        let expected = [
            "SyntaxError: Unexpected",
            "/p/b.js:3",
            "  foo(;",
            "      ^",
            "    at f (a.js:1:2)",
        ];
        check(UserError, "SyntaxError", "Unexpected", late, &expected);
        check(UserError, "Error", "", "", &["Error: "]);
    }

    #[test]
    fn code_that_does_not_load_is_shown_by_its_place() {
        let message = "the package `sharp` is not installed: run `npm install sharp`\n  \
            at functions/a.js:2:5\n> 2 | require('sharp')\n    |         ^";
        let stack = "Error: Cannot find module 'sharp'\nRequire stack:\n- functions/a.js\n    at x";
        let lines: Vec<_> = message.lines().collect();
        let head = format!("Error: {}", lines[0]);
        check(
            Load,
            "Error",
            message,
            stack,
            &[&head, lines[1], lines[2], lines[3]],
        );
        assert_eq!(headline(Load, "Error", message), head);
        // Without a place the stack is all there is.
        check(
            Load,
            "Error",
            "no",
            "Error: no\n    at x",
            &["Error: no", "    at x"],
        );
    }

    #[test]
    fn what_we_describe_has_no_name_of_ours() {
        check(
            Load,
            "load",
            "a.js exports no function b",
            "",
            &["a.js exports no function b"],
        );
        check(
            NotStarted,
            "not_started",
            "too many calls wait",
            "",
            &["not started: too many calls wait"],
        );
        check(
            Interrupted,
            "caller_gone",
            "the caller went away",
            "",
            &["the caller went away"],
        );
        assert_eq!(addition(Timeout, "timeout"), None);
        assert!(addition(Timeout, "AbortError").is_some());
        assert!(addition(Load, "load").is_some() && addition(Load, "SyntaxError").is_some());
        assert_eq!(addition(UserError, "TypeError"), None);
    }
}
