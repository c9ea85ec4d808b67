//! Rules that go by time: `rate`, `debounce`, `batch`, `priority`, `breaker`.

use std::time::Duration;

use super::{
    super::{
        document::{Kind, quoted},
        duration::{self, parse_duration},
        problem::Problem,
        reader::{Fields, Item},
        sections::flow::{BATCH, BREAKER, DEBOUNCE, PRIORITY, RATE},
    },
    key,
};
use crate::{
    flow::{Batch, BreakerRule, Debounce, KeyExpression, Priority, Rate},
    limits,
};

/// `"10/s"`, `"100/1m"` or `{ limit = 10, per = "1m", burst = 5, key = … }`.
pub(super) fn rate(item: Item<'_>) -> Option<Rate> {
    if item.is_table() {
        return rate_table(item);
    }
    let expected = "how many in which time, such as \"10/s\" or \"100/1m\", or a table with \
                    `limit`, `per`, `burst` and `key`";
    let text = item.text(expected)?;
    match parse_rate(text) {
        Ok((limit, per)) => Some(Rate {
            limit,
            per,
            burst: even_burst(limit, per),
            key: None,
        }),
        Err(help) => {
            item.refuse(
                format!("{} is {}, which is no rate", item.title(), quoted(text)),
                help,
            );
            None
        }
    }
}

/// The count and the time of `"100/1m"`; the error says how to write it.
fn parse_rate(text: &str) -> Result<(u32, Duration), String> {
    let Some((count, per)) = text.split_once('/') else {
        return Err("write how many in which time: \"10/s\", \"100/1m\"".to_owned());
    };
    let (count, per) = (count.trim(), per.trim());
    let most = limits::MOST_RATE;
    let limit = (count.parse::<u32>().ok()).filter(|limit| (1..=most).contains(limit));
    let limit = limit.ok_or_else(|| format!("the count is a whole number from 1 to {most}"))?;
    let unit = match per.to_ascii_lowercase().as_str() {
        "sec" | "second" | "seconds" => Some("s"),
        "min" | "minute" | "minutes" => Some("m"),
        "hour" | "hours" | "hr" => Some("h"),
        "day" | "days" => Some("d"),
        _ => None,
    };
    if let Some(unit) = unit {
        return Err(format!("did you mean \"{limit}/{unit}\"?"));
    }
    let one = !per.is_empty() && per.bytes().all(|b| b.is_ascii_alphabetic());
    let written = if one {
        format!("1{per}")
    } else {
        per.to_owned()
    };
    let per = parse_duration(&written).map_err(|error| error.to_string())?;
    let bounds = limits::MIN_RATE_PER..=limits::MAX_RATE_PER;
    if !bounds.contains(&per) {
        let (least, most) = (
            duration::show(*bounds.start()),
            duration::show(*bounds.end()),
        );
        return Err(format!("the time is from {least} to {most}"));
    }
    Ok((limit, per))
}

/// The burst of a rate that does not say one: what comes in a tenth of a second, at least one. So
/// slow rates are strict, and quick ones keep their pace over the small delays of starting.
fn even_burst(limit: u32, per: Duration) -> u32 {
    let in_a_tenth = f64::from(limit) * 0.1 / per.as_secs_f64();
    (in_a_tenth as u32).clamp(1, limit)
}

fn rate_table(item: Item<'_>) -> Option<Rate> {
    let fields = item.fields(&RATE, item.title())?;
    let count = |item: Item<'_>| item.count(1..=limits::MOST_RATE);
    let limit = (fields.required("limit", "limit = 10")).and_then(count);
    let per = (fields.required("per", "per = \"1m\""))
        .and_then(|item| duration::read(item, limits::MIN_RATE_PER..=limits::MAX_RATE_PER));
    let burst = match fields.get("burst") {
        None => limit.zip(per).map(|(limit, per)| even_burst(limit, per)),
        Some(item) => count(item).filter(|burst| match limit {
            Some(limit) if *burst > limit => {
                item.refuse(
                    format!("`burst` is {burst}, more than the limit of {limit}"),
                    "what may come together is a part of the limit: write at most that, or raise it",
                );
                false
            }
            _ => true,
        }),
    };
    let key = optional_key(&fields);
    Some(Rate {
        limit: limit?,
        per: per?,
        burst: burst?,
        key: key?,
    })
}

/// `key` of a rule that may go without one: `None` when it is wrong.
fn optional_key(fields: &Fields<'_>) -> Option<Option<KeyExpression>> {
    match fields.get("key") {
        None => Some(None),
        Some(item) => key::read(item).map(Some),
    }
}

/// `"5s"` or `{ wait = "5s", most = "1m", key = … }`.
pub(super) fn debounce(item: Item<'_>) -> Option<Debounce> {
    let bounds = limits::MIN_DEBOUNCE..=limits::MAX_DEBOUNCE;
    if !item.is_table() {
        let wait = duration::read(item, bounds)?;
        return Some(Debounce {
            key: None,
            wait,
            most: wait * limits::DEBOUNCE_FACTOR,
        });
    }
    let fields = item.fields(&DEBOUNCE, item.title())?;
    let wait =
        (fields.required("wait", "wait = \"5s\"")).and_then(|item| duration::read(item, bounds));
    let most = match fields.get("most") {
        None => wait.map(|wait| wait * limits::DEBOUNCE_FACTOR),
        Some(item) => duration::read(item, limits::MIN_DEBOUNCE..=limits::MOST_DEBOUNCE)
            .filter(|most| not_shorter(item, *most, wait, "wait")),
    };
    let key = optional_key(&fields);
    Some(Debounce {
        key: key?,
        wait: wait?,
        most: most?,
    })
}

/// Refuses the longest of two times when it is shorter than the first, which `name` is called.
fn not_shorter(item: Item<'_>, most: Duration, first: Option<Duration>, name: &str) -> bool {
    let Some(first) = first.filter(|first| most < *first) else {
        return true;
    };
    let (most, first) = (duration::show(most), duration::show(first));
    item.refuse(
        format!(
            "{} is {most}, shorter than `{name}`, which is {first}",
            item.title()
        ),
        format!("write at least {first}, or leave it out"),
    );
    false
}

/// `{ size = 100, window = "5s" }`.
pub(super) fn batch(item: Item<'_>) -> Option<Batch> {
    if !item.is_table() {
        item.wrong_kind(
            "a size, and how long to wait for company: { size = 100, window = \"5s\" }",
        );
        return None;
    }
    let fields = item.fields(&BATCH, item.title())?;
    let size = (fields.required("size", "size = 100"))
        .and_then(|item| item.count(limits::LEAST_BATCH..=limits::MOST_BATCH));
    let window = match fields.get("window") {
        None => Some(limits::BATCH_WINDOW),
        Some(item) => duration::read(item, Duration::ZERO..=limits::MOST_BATCH_WINDOW),
    };
    Some(Batch {
        size: size?,
        window: window?,
    })
}

/// `"1m"` or `{ key = "data.headstart" }`.
pub(super) fn priority(item: Item<'_>) -> Option<Priority> {
    if let Kind::Integer(..) = item.node.kind {
        item.refuse(
            format!("{} is a number", item.title()),
            "a priority is a head start over what else waits: write \"1m\" to overtake what came \
             up to a minute earlier",
        );
        return None;
    }
    if !item.is_table() {
        let bounds = limits::LEAST_PRIORITY..=limits::MOST_PRIORITY;
        return duration::read(item, bounds).map(Priority::Fixed);
    }
    let fields = item.fields(&PRIORITY, item.title())?;
    let key = fields.required("key", "key = \"data.headstart\"")?;
    key::read_single(key).map(Priority::Key)
}

/// `{ failures = 10, retry_after = "30s", retry_most = "10m", key = … }`.
pub(super) fn breaker(item: Item<'_>) -> Option<BreakerRule> {
    if !item.is_table() {
        item.wrong_kind(
            "true, false, or a table with `failures`, `retry_after`, `retry_most`, `key`",
        );
        return None;
    }
    let fields = item.fields(&BREAKER, item.title())?;
    let base = BreakerRule::default();
    let bounds = limits::MIN_BREAKER_WAIT..=limits::MAX_BREAKER_WAIT;
    let failures = match fields.get("failures") {
        None => Some(base.failures),
        Some(item) => item.count(1..=limits::MOST_BREAKER_FAILURES),
    };
    let retry_after = match fields.get("retry_after") {
        None => Some(base.retry_after),
        Some(item) => duration::read(item, bounds.clone()),
    };
    let retry_most = match fields.get("retry_most") {
        None => retry_after.map(|after| after.max(base.retry_most)),
        Some(item) => duration::read(item, bounds)
            .filter(|most| not_shorter(item, *most, retry_after, "retry_after")),
    };
    let key = optional_key(&fields);
    if fields.keys(|_| true).next().is_none() {
        item.report.problem(
            Problem::at(item.span(), format!("{} says nothing", item.title()))
                .help("write breaker = true for the usual rule, or say what differs from it"),
        );
    }
    Some(BreakerRule {
        failures: failures?,
        retry_after: retry_after?,
        retry_most: retry_most?,
        key: key?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let check = |text, limit, secs| {
            assert_eq!(
                parse_rate(text),
                Ok((limit, Duration::from_secs(secs))),
                "{text}"
            );
        };
        check("10/s", 10, 1);
        check("100/1m", 100, 60);
        check("5/h", 5, 3600);
        check("1/d", 1, 86_400);
        check("7 / 1m30s", 7, 90);
        check("1000000/2s", 1_000_000, 2);
    }

    #[test]
    fn what_is_no_rate_says_why() {
        let check = |text, expected: &str| {
            let help = parse_rate(text).expect_err(text);
            assert!(help.contains(expected), "{text}: {help}");
        };
        check("10", "how many in which time");
        check("0/s", "from 1 to 1000000");
        check("-1/s", "from 1 to 1000000");
        check("1000001/s", "from 1 to 1000000");
        check("ten/s", "from 1 to 1000000");
        check("10/sec", "\"10/s\"");
        check("10/Minute", "\"10/m\"");
        check("10/", "such as `30s`");
        check("10/1", "no unit");
        check("10/fortnight", "units are");
        check("10/500ms", "from 1s to 1d");
        check("10/ms", "from 1s to 1d");
        check("10/2d", "from 1s to 1d");
    }
}
