//! What a condition asks of a text. Each test takes time linear in the text and in itself, and
//! allocates nothing.

/// A question to a text.
#[derive(Debug, Clone)]
pub(super) enum TextTest {
    Prefix(Box<str>),
    Suffix(Box<str>),
    Wildcard(Wildcard),
    /// Whatever the case of its letters; so are the following.
    Same(Folded),
    FoldedPrefix(Folded),
    FoldedSuffix(Folded),
}

impl TextTest {
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Wildcard(wildcard) => wildcard.holds(text),
            Self::Same(folded) => fold(text).eq(folded.0.iter().copied()),
            Self::FoldedPrefix(folded) => begins(fold(text), folded.0.iter().copied()),
            Self::FoldedSuffix(folded) => begins(fold(text).rev(), folded.0.iter().rev().copied()),
        }
    }
}

/// A text without the difference between upper and lower case.
#[derive(Debug, Clone)]
pub(super) struct Folded(Box<[char]>);

impl Folded {
    pub(super) fn of(text: &str) -> Self {
        Self(fold(text).collect())
    }
}

/// The letters of a text as they are compared: by way of upper case, because some letters (such
/// as the two small sigmas) have one upper case only.
fn fold(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

fn begins(text: impl Iterator<Item = char>, mut wanted: impl Iterator<Item = char>) -> bool {
    let mut text = text;
    wanted.all(|letter| text.next() == Some(letter))
}

/// A text in which `*` stands for any number of any characters.
#[derive(Debug, Clone)]
pub(super) struct Wildcard {
    /// Before the first `*`; all of it when there is none.
    first: Box<str>,
    /// Between two of them.
    middle: Box<[Box<str>]>,
    /// Behind the last `*`; none when there is no `*`.
    last: Option<Box<str>>,
}

impl Wildcard {
    /// Reads a wildcard; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = vec![String::new()];
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '*' if letters.peek() == Some(&'*') => {
                    return Err("two `*` stand side by side; one says the same".to_owned());
                }
                '*' => pieces.push(String::new()),
                '\\' => match letters.next() {
                    Some(escaped @ ('*' | '\\')) => push(&mut pieces, escaped),
                    _ => {
                        return Err("a `\\` stands only before `*` or another `\\`".to_owned());
                    }
                },
                _ => push(&mut pieces, letter),
            }
        }
        let mut pieces = pieces.into_iter().map(String::into_boxed_str);
        let first = pieces.next().unwrap_or_default();
        let last = pieces.next_back();
        Ok(Self {
            first,
            middle: pieces.collect(),
            last,
        })
    }

    /// Each piece is taken where it first comes: a later place could only leave less for those
    /// behind it, so that nothing needs to be tried twice.
    fn holds(&self, text: &str) -> bool {
        let Some(last) = &self.last else {
            return *text == *self.first;
        };
        let Some(mut rest) = text.strip_prefix(&*self.first) else {
            return false;
        };
        for piece in &self.middle {
            match rest.find(&**piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
}

fn push(pieces: &mut [String], letter: char) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, expected| {
            let wildcard = Wildcard::parse(pattern).unwrap();
            assert_eq!(wildcard.holds(text), expected, "{pattern} {text}");
        };
        check("dir/*.png", "dir/a.png", true);
        check("dir/*.png", "dir/.png", true);
        check("dir/*.png", "dir/sub/a.png", true);
        check("dir/*.png", "dir/a.jpg", false);
        check("dir/*.png", "a/dir/a.png", false);
        check("*", "", true);
        check("*", "anything", true);
        check("", "", true);
        check("", "a", false);
        check("plain", "plain", true);
        check("plain", "plainer", false);
        check("a*a", "a", false);
        check("a*a", "aa", true);
        check("ab*ba", "aba", false);
        check("*ab*ab*", "xabyab", true);
        check("*ab*ab*", "xaby", false);
        check("*ab*b", "ab", false);
        check("*ab*b", "abb", true);
        check("*ü*", "aüb", true);
        check(r"a\*b", "a*b", true);
        check(r"a\*b", "axb", false);
        check(r"a\\*b", r"a\xyzb", true);
        check(r"\**", "*x", true);
        check(r"*\*", "x*", true);
    }

    #[test]
    fn what_is_no_wildcard_is_refused() {
        for text in ["a**b", "**", r"a\", r"a\b", r"\"] {
            assert!(Wildcard::parse(text).is_err(), "{text}");
        }
        assert!(Wildcard::parse(r"*\**").is_ok());
    }

    #[test]
    fn case_is_ignored_beyond_ascii() {
        let same = |a: &str, b: &str| TextTest::Same(Folded::of(a)).holds(b);
        assert!(same("AlIcE", "aLiCe") && same("ÄÖ", "äö") && same("ΟΔΟΣ", "οδος"));
        assert!(!same("alice", "alic") && !same("alic", "alice") && !same("a", "b"));
        let suffix = TextTest::FoldedSuffix(Folded::of(".PNG"));
        assert!(suffix.holds("a.Png") && suffix.holds(".png") && !suffix.holds("png"));
        let prefix = TextTest::FoldedPrefix(Folded::of("EventB"));
        assert!(prefix.holds("eventbridge") && !prefix.holds("event") && prefix.holds("EVENTB"));
    }
}
