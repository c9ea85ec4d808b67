//! Paths into an event, as key expressions write them: `data.items[0].sku`, `data["odd key"]`.

use crate::{
    filter::{ATTRIBUTES, EventView, Seen, is_extension},
    flow::KeyMistake,
    limits, suggest,
};

/// One path, compiled.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// As it was written.
    pub(super) text: Box<str>,
    steps: Box<[Step]>,
}

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, KeyMistake> {
        if text.is_empty() {
            return Err(mistake("the key expression is empty", WHOLE));
        }
        if text.len() > limits::MAX_KEY_PATH {
            let most = limits::MAX_KEY_PATH;
            return Err(mistake(
                format!("a path of a key expression has {} bytes", text.len()),
                format!("at most {most} are read"),
            ));
        }
        if let Some(mistake) = foreign(text) {
            return Err(mistake);
        }
        let steps = Scanner { text, rest: text }.steps()?;
        check_start(text, &steps)?;
        Ok(Self {
            text: text.into(),
            steps: steps.into(),
        })
    }

    /// What stands at the end of the path.
    pub(super) fn find<'a>(&self, event: &'a EventView<'a>) -> Seen<'a> {
        let mut seen = Seen::Event(event);
        for step in &self.steps {
            seen = match step {
                Step::Key(key) => seen.get(key),
                Step::Index(index) => seen.element(*index),
            };
        }
        seen
    }

    /// The field of the data that it leads through, and what it names in that field.
    pub(super) fn field_of_data(&self) -> Option<(&str, Option<&str>)> {
        match &*self.steps {
            [Step::Key(data), Step::Key(name), rest @ ..] if &**data == "data" => {
                let inner = match rest.first() {
                    Some(Step::Key(inner)) => Some(&**inner),
                    _ => None,
                };
                Some((name, inner))
            }
            _ => None,
        }
    }

    /// The extension attribute that it begins with, if it does.
    pub(super) fn extension(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Key(name)) if !ATTRIBUTES.contains(&&**name) => Some(name),
            _ => None,
        }
    }
}

const WHOLE: &str = "write a path into the event, such as \"data.order.id\" or \"subject\"";
const BRACKETS: &str = "`[0]` takes an element of an array, from 0; `[\"odd key\"]` takes what \
                        stands under a key with dots, spaces or brackets";

fn mistake(message: impl Into<String>, help: impl Into<String>) -> KeyMistake {
    KeyMistake {
        message: message.into(),
        help: help.into(),
    }
}

/// A text in backquotes, cut when it is long, with nothing that would break a line or a terminal.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let cut = text.chars().count() > MOST;
    let text: String = text.chars().take(MOST).collect();
    let plain = text.escape_debug().to_string().replace("\\\"", "\"");
    format!(
        "`{}{}`",
        plain.replace("\\'", "'"),
        if cut { "…" } else { "" }
    )
}

/// What is written in the syntax of another system.
fn foreign(text: &str) -> Option<KeyMistake> {
    let say = |system: &str, better: &str| {
        let help = match better {
            "" => WHOLE.to_owned(),
            better => format!("write \"{better}\""),
        };
        Some(mistake(
            format!("{} is written as {system}", shown(text)),
            help,
        ))
    };
    if let Some(rest) = text.strip_prefix("$.").or_else(|| text.strip_prefix("$[")) {
        let plain = text.starts_with("$.") && !rest.starts_with('.');
        return say("in JSONPath", if plain { rest } else { "" });
    }
    if text.starts_with('/') {
        let better = text.trim_start_matches('/').replace('/', ".");
        return say("a JSON pointer", &better);
    }
    if let Some(inner) = (text.strip_prefix("${")).and_then(|rest| rest.strip_suffix('}')) {
        return say("a template", inner.trim());
    }
    if let Some(inner) = (text.strip_prefix("{{")).and_then(|rest| rest.strip_suffix("}}")) {
        return say("a template", inner.trim());
    }
    (text.strip_prefix("event."))
        .and_then(|rest| say("in code: a path begins inside the event", rest))
}

/// Checks that a path begins with something that an event has.
fn check_start(text: &str, steps: &[Step]) -> Result<(), KeyMistake> {
    let Some(Step::Key(first)) = steps.first() else {
        return Err(mistake(
            format!("{} begins with a bracket", shown(text)),
            WHOLE,
        ));
    };
    let first = &**first;
    let goes_on = steps.len() > 1;
    if first == "data" || (!goes_on && (ATTRIBUTES.contains(&first) || is_extension(first))) {
        return Ok(());
    }
    if ATTRIBUTES.contains(&first) {
        return Err(mistake(
            format!("{} looks into `{first}`, which is a text", shown(text)),
            format!("write \"{first}\": the whole text is the key"),
        ));
    }
    let list = "An event has `id`, `source`, `type`, `subject`, `time`, `datacontenttype`, `data`, \
                and extension attributes by name";
    let better = match first {
        "body" | "payload" | "detail" | "message" | "value" if goes_on => {
            text.replacen(first, "data", 1)
        }
        _ => match suggest::closest(first, ATTRIBUTES) {
            Some(near) if goes_on == (near == "data") => text.replacen(first, near, 1),
            _ => format!("data.{text}"),
        },
    };
    Err(mistake(
        format!("no event has {}", shown(first)),
        format!("did you mean \"{better}\"? {list}"),
    ))
}

/// Reads a path from left to right.
struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Scanner<'_> {
    fn steps(mut self) -> Result<Vec<Step>, KeyMistake> {
        let mut steps = Vec::new();
        if !self.rest.starts_with('[') {
            steps.push(self.word()?);
        }
        while let Some(next) = self.rest.chars().next() {
            self.rest = &self.rest[next.len_utf8()..];
            steps.push(match next {
                '.' => self.key()?,
                '[' => self.bracket()?,
                _ => {
                    return Err(self.fault(
                        format!("goes on with `{next}` after a `]`"),
                        "a `.` or a `[` leads further",
                    ));
                }
            });
        }
        Ok(steps)
    }

    fn fault(&self, fault: impl AsRef<str>, help: impl Into<String>) -> KeyMistake {
        mistake(format!("{} {}", shown(self.text), fault.as_ref()), help)
    }

    /// A word up to the next dot or bracket.
    fn word(&mut self) -> Result<Step, KeyMistake> {
        let end = self.rest.find(['.', '[']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.fault(
                "has an empty step",
                "each dot stands between two names; a key that is empty is written [\"\"]",
            ));
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@');
        if let Some(odd) = word.chars().find(|c| !plain(*c)) {
            let help = match odd {
                '*' => "a key is one value: name one element, as in `data.items[0]`".to_owned(),
                ']' => "a `]` stands behind a `[`".to_owned(),
                _ => format!("put the name in brackets and quotes: [{word:?}]"),
            };
            return Err(self.fault(format!("has a {odd:?} in a name"), help));
        }
        self.rest = rest;
        Ok(Step::Key(word.into()))
    }

    /// A word behind a dot.
    fn key(&mut self) -> Result<Step, KeyMistake> {
        let step = self.word()?;
        if let Step::Key(word) = &step
            && word.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(self.fault(
                format!("has the number {} behind a dot", shown(word)),
                format!("write [{word}] for an element of an array, [\"{word}\"] for a key"),
            ));
        }
        Ok(step)
    }

    /// What stands behind a `[`.
    fn bracket(&mut self) -> Result<Step, KeyMistake> {
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            self.rest = &self.rest[1..];
            return self.quoted(quote);
        }
        let Some((inner, rest)) = self.rest.split_once(']') else {
            return Err(self.fault("has a `[` without its `]`", BRACKETS));
        };
        let digits = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
        let index = inner.parse::<u32>().ok().filter(|_| digits);
        let Some(index) = index.and_then(|index| usize::try_from(index).ok()) else {
            let help = match inner {
                "*" | ":" => "a key is one value: name one element, as in `[0]`".to_owned(),
                _ if inner.starts_with('-') => {
                    "elements are counted from the front, from 0".to_owned()
                }
                "" => BRACKETS.to_owned(),
                _ if digits => "that is more elements than an event holds".to_owned(),
                _ => format!("put the key in quotes: [{inner:?}]"),
            };
            return Err(self.fault(format!("has {} in brackets", shown(inner)), help));
        };
        self.rest = rest;
        Ok(Step::Index(index))
    }

    /// A key in quotes, up to its `]`; a backslash takes the next character as it is.
    fn quoted(&mut self, quote: char) -> Result<Step, KeyMistake> {
        let mut key = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('\\') => key.extend(chars.next()),
                Some(c) if c == quote => break,
                Some(c) => key.push(c),
                None => {
                    let fault = format!("has a {quote} without its second one");
                    return Err(self.fault(fault, BRACKETS));
                }
            }
        }
        let Some(rest) = chars.as_str().strip_prefix(']') else {
            return Err(self.fault("has a `[` without its `]`", BRACKETS));
        };
        self.rest = rest;
        Ok(Step::Key(key.into()))
    }
}
