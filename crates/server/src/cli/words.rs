//! Durations, times and sizes as people read them, and words as they type them.

use std::{fmt::Write as _, time::Duration};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use wakeful_core::{
    delivery::DeadReason,
    run::{LogLevel, RunState},
    time::Timestamp,
};

use crate::admin::model::{DEAD_REASONS, dead_reason_word};

const LOG_LEVELS: [LogLevel; 4] = [
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];

/// The states of a run, by their words.
pub(super) fn run_states() -> impl TypedValueParser<Value = RunState> {
    let words = RunState::ALL.iter().map(|state| state.as_str());
    PossibleValuesParser::new(words).map(|word| {
        let mut states = RunState::ALL.iter();
        let state = states.find(|state| state.as_str() == word);
        *state.unwrap_or_else(|| unreachable!("only the words of states are possible"))
    })
}

/// Why deliveries die, by their words.
pub(super) fn dead_reasons() -> impl TypedValueParser<Value = DeadReason> {
    PossibleValuesParser::new(DEAD_REASONS.map(dead_reason_word)).map(|word| {
        let mut reasons = DEAD_REASONS.into_iter();
        let reason = reasons.find(|reason| dead_reason_word(*reason) == word);
        reason.unwrap_or_else(|| unreachable!("only the words of reasons are possible"))
    })
}

/// Why something died, for people: `attempts exhausted`.
pub(super) fn dead_reason(reason: DeadReason) -> String {
    dead_reason_word(reason).replace('_', " ")
}

/// The levels of log lines, by their words.
pub(super) fn log_levels() -> impl TypedValueParser<Value = LogLevel> {
    let words = LOG_LEVELS.map(LogLevel::as_str);
    PossibleValuesParser::new(words).map(|word| {
        let mut levels = LOG_LEVELS.into_iter();
        let level = levels.find(|level| level.as_str() == word);
        level.unwrap_or_else(|| unreachable!("only the words of levels are possible"))
    })
}

/// `830 µs`, `1.2 ms`, `340 ms`, `2.1 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`.
pub(super) fn duration(duration: Duration) -> String {
    let us = duration.as_micros();
    let tenths =
        |unit: u128, name: &str| format!("{}.{} {name}", us / unit, us % unit / (unit / 10));
    let pair = |seconds: u128, (big, one): (u128, &str), (small, other): (u128, &str)| {
        let (whole, rest) = (seconds / big, seconds % big / small);
        if rest == 0 {
            format!("{whole} {one}")
        } else {
            format!("{whole} {one} {rest} {other}")
        }
    };
    let seconds = us / 1_000_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => tenths(1_000, "ms"),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => tenths(1_000_000, "s"),
        _ if seconds < 3_600 => pair(seconds, (60, "m"), (1, "s")),
        _ if seconds < 86_400 => pair(seconds, (3_600, "h"), (60, "m")),
        _ => pair(seconds, (86_400, "d"), (3_600, "h")),
    }
}

/// `just now`, `3 s ago`, `2 h ago`, `in 12 s`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (apart, ahead) = if at > now {
        (at.since(now), true)
    } else {
        (now.since(at), false)
    };
    let seconds = apart.as_secs();
    let text = match seconds {
        0 if ahead => return "now".to_owned(),
        0 => return "just now".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    if ahead {
        format!("in {text}")
    } else {
        format!("{text} ago")
    }
}

/// The time of day with milliseconds, in the time zone of whoever reads it.
pub(super) fn clock_time(at: Timestamp) -> String {
    local(at, "%H:%M:%S%.3f")
}

/// Day and time, in the time zone of whoever reads it.
pub(super) fn date_time(at: Timestamp) -> String {
    local(at, "%Y-%m-%d %H:%M:%S")
}

fn local(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(at) => at
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime(format)
            .to_string(),
        Err(_) => at.to_string(),
    }
}

/// `12 B`, `3.4 KiB`, `5.6 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Values that are nested deeper than this stay on one line: indentation grows with the square of
/// the depth.
const DEEPEST_LAID_OUT: usize = 64;

/// A valid JSON text, laid out over lines. Order and numbers stay as they are written, which a
/// parser would not promise.
pub(super) fn pretty_json(text: &str) -> String {
    laid_out(text, usize::MAX).0
}

/// At most the first `most` bytes of the same, and whether anything was left out.
pub(super) fn pretty_json_start(text: &str, most: usize) -> (String, bool) {
    let (mut out, all_read) = laid_out(text, most);
    let cut = !all_read || out.len() > most;
    out.truncate(out.floor_char_boundary(most));
    (out, cut)
}

/// The same, until `most` bytes are written; and whether the text was read to its end.
fn laid_out(text: &str, most: usize) -> (String, bool) {
    let mut out = String::with_capacity(text.len().min(most));
    let mut depth = 0;
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        if out.len() > most {
            return (out, false);
        }
        let (token, after) = rest.split_at(token_length(rest, c));
        rest = after.trim_start();
        match c {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                out.push(c);
                out.push_str(&rest[..1]);
                rest = rest[1..].trim_start();
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = usize::saturating_sub(depth, 1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
    }
    (out, true)
}

fn new_line(out: &mut String, depth: usize) {
    if depth > DEEPEST_LAID_OUT {
        return;
    }
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Bytes of the token at the beginning of `text`, which begins with `first`.
fn token_length(text: &str, first: char) -> usize {
    match first {
        '"' => {
            let mut escaped = false;
            let end = text.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |(at, _)| at + 1)
        }
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        _ => {
            let end = |c: char| c.is_whitespace() || "{}[],:\"".contains(c);
            text.find(end).unwrap_or(text.len()).max(first.len_utf8())
        }
    }
}

/// `1 run`, `2 runs`.
pub(super) fn count(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The text without anything that a terminal would take for a command. What user code and
/// clients send ends up here: names, messages, log lines.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// The same on one line: what would break it, or make it look like another one, is escaped too.
pub(super) fn one_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// The same below a line that begins with something else: further lines are set off, so that
/// none can pass for a line of its own.
pub(super) fn set_off(text: &str) -> String {
    harmless(text).replace('\n', "\n    ")
}

/// The first line, cut to `most` characters.
pub(super) fn brief(text: &str, most: usize) -> String {
    cut(harmless(text.lines().next().unwrap_or_default()), most)
}

/// All of it on one line, cut to `most` characters.
pub(super) fn brief_line(text: &str, most: usize) -> String {
    cut(one_line(text), most)
}

fn cut(line: String, most: usize) -> String {
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (us, expected) in [
            (0, "0 µs"),
            (830, "830 µs"),
            (1_250, "1.2 ms"),
            (340_900, "340 ms"),
            (2_190_000, "2.1 s"),
            (60_000_000, "1 m"),
            (200_000_000, "3 m 20 s"),
            (7_500_000_000, "2 h 5 m"),
            (273_600_000_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_micros(us)), expected);
        }
    }

    #[test]
    fn relative_times() {
        let now = Timestamp::from_millis(1_000_000_000);
        for (ms, expected) in [
            (0, "just now"),
            (-3_000, "3 s ago"),
            (-125_000, "2 m ago"),
            (-7_200_000, "2 h ago"),
            (-200_000_000, "2 d ago"),
            (12_000, "in 12 s"),
            (400, "now"),
        ] {
            let at = Timestamp::from_millis(1_000_000_000 + ms);
            assert_eq!(relative(at, now), expected);
        }
    }

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5_872_025, "5.6 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn json_is_laid_out_as_it_is_written() {
        let text = r#" {"b":1.50,"a":[1,{},[ ],"x,\"{:\\"],"c":{"d":null}} "#;
        let expected = "{\n  \"b\": 1.50,\n  \"a\": [\n    1,\n    {},\n    [],\n    \
            \"x,\\\"{:\\\\\"\n  ],\n  \"c\": {\n    \"d\": null\n  }\n}";
        assert_eq!(pretty_json(text), expected);
        for scalar in ["12345678901234567890123", "\"ü\"", "true", "[]", ""] {
            assert_eq!(pretty_json(scalar), scalar);
        }
        let value = serde_json::json!({ "a": [1, { "b": "\u{7}\\\"," }], "c": [[2]] });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(pretty_json(&value.to_string()), pretty);
    }

    #[test]
    fn json_that_is_deep_or_long_does_not_grow_without_bounds() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let pretty = pretty_json(&deep);
        assert!(pretty.len() < deep.len() + 10_000, "{}", pretty.len());
        assert_eq!(pretty.replace([' ', '\n'], ""), deep);
        let inner = pretty.lines().nth(DEEPEST_LAID_OUT).unwrap();
        assert!(inner.contains("[[[]]]"), "{inner}");

        let (start, cut) = pretty_json_start(&deep, 1000);
        assert_eq!((start.as_str(), cut), (&pretty[..1000], true));
        let text = r#"{"a":"äöü"}"#;
        let whole = pretty_json(text);
        assert_eq!(pretty_json_start(text, whole.len()), (whole.clone(), false));
        let most = whole.len() - 4;
        let (start, cut) = pretty_json_start(text, most);
        assert_eq!((start.as_str(), cut), ("{\n  \"a\": \"äö", true));
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(
            harmless("a\x1b[31mb\rc\td\ne"),
            "a\\u{1b}[31mb\\u{d}c\td\ne"
        );
        assert_eq!(brief("héllo wörld\nmore", 6), "héllo…");
        assert_eq!(brief("short", 6), "short");
        assert_eq!(one_line("a\nb\tc\x07"), "a\\nb\\tc\\u{7}");
        assert_eq!(brief_line("a\nbcd", 4), "a\\n…");
        assert_eq!(set_off("a\n12:00 b"), "a\n    12:00 b");
    }
}
