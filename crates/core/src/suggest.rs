//! What somebody may have meant.

/// The one of `known` that `written` most likely stands for; only the first 1000 are compared.
pub(crate) fn closest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    // A third of the letters may be wrong; with more, a suggestion misleads.
    let bound = |name: &str| (written.chars().count().max(name.chars().count()) / 3).max(1);
    (known.into_iter().take(MOST_COMPARED))
        .map(|name| (distance(name), name))
        .filter(|(distance, name)| *distance <= bound(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Names that are looked through.
const MOST_COMPARED: usize = 1000;

/// `did you mean …?`, or else the list of what there is.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    match closest(written, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(known)),
    }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["memory", "timeout", "retry", "on"];
        let check = |written, expected| assert_eq!(closest(written, known), expected, "{written}");
        check("memroy", Some("memory"));
        check("Timeout", Some("timeout"));
        check("time_out", Some("timeout"));
        check("om", Some("on"));
        check("colour", None);
        check("", None);
        assert_eq!(
            did_you_mean("xyzzy", ["a", "b", "c"]),
            "expected `a`, `b` or `c`"
        );
    }
}
