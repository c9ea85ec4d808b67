//! Colours where they can be seen, and durations as people read them.

use std::{borrow::Cow, io::IsTerminal, time::Duration};

/// Whether what is written to a stream may have colours: it is a terminal, and NO_COLOR is not set.
pub(crate) fn colours_for(stream: &impl IsTerminal) -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && stream.is_terminal()
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colours: bool,
}

impl Paint {
    /// For standard output as it is; NO_COLOR (no-color.org) is honoured.
    pub(super) fn for_stdout() -> Self {
        Self {
            colours: colours_for(&std::io::stdout()),
        }
    }

    pub(super) fn colours(self) -> bool {
        self.colours
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// Two or three digits and a unit: `340 µs`, `4.2 ms`, `1.3 s`, `2 min`.
pub(super) fn duration(duration: Duration) -> String {
    let micros = duration.as_micros() as f64;
    match duration {
        Duration::ZERO => "< 1 ms".to_owned(),
        d if d < Duration::from_millis(1) => format!("{micros:.0} µs"),
        d if d < Duration::from_millis(10) => format!("{:.1} ms", micros / 1e3),
        d if d < Duration::from_secs(1) => format!("{:.0} ms", micros / 1e3),
        d if d < Duration::from_secs(120) => format!("{:.1} s", micros / 1e6),
        d => format!("{} min", d.as_secs() / 60),
    }
}

/// A text that comes from outside, fit for a terminal: control characters are shown as escapes,
/// but for line breaks, tabs and colours (`ESC [ … m`), which people do log.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = colour_length(rest);
        if colour > 0 {
            out.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(out)
}

/// The same where only one line has room: what would begin another one is escaped as well.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    match printable(text) {
        text if text.contains('\n') => Cow::Owned(text.replace('\n', "\\n")),
        text => text,
    }
}

/// The same for a text that may have several lines: those after the first are set off, so that
/// none can pass for a line of its own.
pub(super) fn set_off(text: &str) -> Cow<'_, str> {
    match printable(text) {
        text if text.contains('\n') => Cow::Owned(text.replace('\n', "\n      ")),
        text => text,
    }
}

/// The length of the colour sequence that a text begins with; 0 for none.
fn colour_length(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\x1b[") else {
        return 0;
    };
    let parameters = inside
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b';')
        .count();
    match inside.as_bytes().get(parameters) {
        Some(b'm') => 2 + parameters + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{colours_for, duration, one_line, printable, set_off};
    use std::time::Duration;

    #[test]
    fn a_file_gets_no_colours() {
        assert!(!colours_for(&tempfile::tempfile().unwrap()));
    }

    #[test]
    fn durations_read_well() {
        let check = |micros, expected: &str| {
            assert_eq!(duration(Duration::from_micros(micros)), expected);
        };
        check(0, "< 1 ms");
        check(340, "340 µs");
        check(4_200, "4.2 ms");
        check(42_000, "42 ms");
        check(1_300_000, "1.3 s");
        check(180_000_000, "3 min");
    }

    #[test]
    fn what_moves_a_cursor_is_shown_and_not_done() {
        assert_eq!(printable("plain ü"), "plain ü");
        assert_eq!(printable("\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m");
        assert_eq!(one_line("a\nb\tc"), "a\\nb\tc");
        assert_eq!(set_off("a\n12:00:00 b"), "a\n      12:00:00 b");
        assert_eq!(printable("a\x1b[2Jb\rc\u{9b}"), "a\\u{1b}[2Jb\\rc\\u{9b}");
    }
}
