//! When a schedule ticks: cron expressions and fixed distances, as pure functions of time.
//!
//! Two rules that users can rely on:
//! - **Cron** follows the clock on the wall of its time zone. When the clock springs forward, a
//!   time of day that does not exist that day (02:30) ticks at the first moment after the gap
//!   (03:00); when it falls back, a time of day that exists twice ticks once, at the first of
//!   the two. Patterns that step through the hours (`*`, `*/30`) tick in both passes of a
//!   repeated hour.
//! - **Every** counts from the Unix epoch, so a restart does not move its ticks, and clock
//!   changes of a time zone do not concern it.
//!
//! Nothing here knows who waits for a tick, nor what was ticked before.

use std::time::Duration;

use croner::{
    Cron,
    parser::{CronParser, Year},
};
use jiff::tz::TimeZone;

use crate::{
    limits,
    project::{ScheduleTrigger, When},
    time::Timestamp,
};

/// The short names that stand for a whole expression.
const NICKNAMES: [&str; 6] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];
/// Where `validate_cron` starts to look for a first tick: 2024-01-01, early in a leap year.
const PROBE: Timestamp = Timestamp::from_millis(1_704_067_200_000);

/// A schedule made ready for asking.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Cron { cron: Box<Cron>, zone: TimeZone },
    Every { ms: i64 },
}

impl Schedule {
    /// Of a trigger. The error says what is wrong with its expression, time zone or distance.
    pub fn of(trigger: &ScheduleTrigger) -> Result<Self, String> {
        let kind = match &trigger.when {
            When::Cron(text) => Kind::Cron {
                cron: Box::new(parse_cron(text)?),
                zone: parse_timezone(&trigger.timezone)?,
            },
            When::Every(distance) => {
                validate_every(*distance)?;
                Kind::Every {
                    ms: i64::try_from(distance.as_millis()).unwrap_or(i64::MAX),
                }
            }
        };
        Ok(Self { kind })
    }

    /// The first tick strictly after `after`; `None` when there is none in any year to come.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron { cron, zone } => next_cron(cron, zone, after),
            Kind::Every { ms } => after
                .as_millis()
                .div_euclid(*ms)
                .checked_add(1)?
                .checked_mul(*ms)
                .map(Timestamp::from_millis),
        }
    }
}

/// The ticks of a stretch of time, as far as someone who was away cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    /// The last of them.
    pub latest: Timestamp,
    /// How many there are; no more than `COUNTED` are counted.
    pub count: u64,
}

/// More elapsed ticks than this are not counted one by one.
pub const COUNTED: u64 = 1000;

impl Schedule {
    /// The ticks after `after`, up to and including `until`; `None` when there is none. The work
    /// is bounded, however long the stretch.
    pub fn elapsed(&self, after: Timestamp, until: Timestamp) -> Option<Elapsed> {
        let mut latest = self.next_after(after).filter(|at| *at <= until)?;
        let mut count = 1;
        while let Some(next) = self.next_after(latest).filter(|at| *at <= until) {
            latest = next;
            count += 1;
            if count == COUNTED {
                latest = self.latest(latest, until);
                break;
            }
        }
        Some(Elapsed { latest, count })
    }

    /// The last tick up to `until`, when `known` is an earlier one: looks at longer and longer
    /// stretches before `until`, so that few ticks have to be walked over.
    fn latest(&self, known: Timestamp, until: Timestamp) -> Timestamp {
        let mut stretch = Duration::from_secs(1);
        loop {
            let from = until.minus(stretch);
            let (from, last_try) = match from <= known {
                true => (known, true),
                false => (from, false),
            };
            let mut latest = None;
            let mut at = from;
            while let Some(next) = self.next_after(at).filter(|next| *next <= until) {
                latest = Some(next);
                at = next;
            }
            match latest {
                Some(latest) => return latest,
                None if last_try => return known,
                None => stretch *= 2,
            }
        }
    }
}

/// The first tick of `trigger` strictly after `after`. The error says what is wrong with it.
pub fn next_after(
    trigger: &ScheduleTrigger,
    after: Timestamp,
) -> Result<Option<Timestamp>, String> {
    Ok(Schedule::of(trigger)?.next_after(after))
}

/// Whether `text` is a cron expression that ticks at all; the error says what is wrong with it.
pub fn validate_cron(text: &str) -> Result<(), String> {
    let cron = parse_cron(text)?;
    match next_cron(&cron, &TimeZone::UTC, PROBE) {
        Some(_) => Ok(()),
        None => Err("it never ticks: no date fits it".to_owned()),
    }
}

/// Whether `name` is a time zone of the IANA database; the error suggests what was meant.
pub fn validate_timezone(name: &str) -> Result<(), String> {
    parse_timezone(name).map(|_| ())
}

/// Whether `distance` can be a distance between ticks; the error says what can.
pub fn validate_every(distance: Duration) -> Result<(), String> {
    if distance < limits::MIN_EVERY {
        return Err("the shortest distance between ticks is 1s".to_owned());
    }
    if distance > limits::MAX_EVERY {
        return Err("the longest distance between ticks is 366d".to_owned());
    }
    if !distance.subsec_nanos().is_multiple_of(1_000_000) {
        return Err("a distance between ticks is a whole number of milliseconds".to_owned());
    }
    Ok(())
}

fn parse_cron(text: &str) -> Result<Cron, String> {
    let text = text.trim();
    if text.starts_with('@') {
        if !NICKNAMES.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(format!("expected one of {}", NICKNAMES.join(", ")));
        }
    } else {
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(format!(
                "it has {fields} fields: expected 5 (minute hour day month weekday), \
                 or 6 with seconds first"
            ));
        }
    }
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| {
        let text = error.to_string();
        let rest = ["Invalid pattern: ", "Component error: "]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(&text);
        rest.trim_end_matches('.').to_owned()
    })
}

fn parse_timezone(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let near = jiff::tz::db()
        .available()
        .map(|known| {
            let likeness =
                strsim::jaro_winkler(&known.as_str().to_lowercase(), &name.to_lowercase());
            (likeness, known.as_str().to_owned())
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    Err(match near {
        Some((_, known)) => format!("there is no time zone `{name}`; did you mean `{known}`?"),
        None => format!(
            "there is no time zone `{name}`: expected an IANA name such as `Europe/Berlin` or `UTC`"
        ),
    })
}

fn next_cron(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after;
    // The search has a resolution of one second. Should it ever answer with a moment that is not
    // later than what was asked, asking again a second on keeps our own promise.
    for _ in 0..4 {
        let second = from.as_millis().div_euclid(1000);
        let start = jiff::Timestamp::from_second(second).ok()?;
        let found = cron
            .find_next_occurrence(&start.to_zoned(zone.clone()), false)
            .ok()?;
        let at = Timestamp::from_millis(found.timestamp().as_second().checked_mul(1000)?);
        if at > after {
            return Some(at);
        }
        from = from.plus(Duration::from_secs(1));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn cron(text: &str, timezone: &str) -> ScheduleTrigger {
        ScheduleTrigger {
            when: When::Cron(text.to_owned()),
            timezone: timezone.to_owned(),
        }
    }

    fn every(distance: Duration) -> ScheduleTrigger {
        ScheduleTrigger {
            when: When::Every(distance),
            timezone: "UTC".to_owned(),
        }
    }

    /// Asks again and again from `after`; `expected` are the ticks in order.
    fn check(trigger: &ScheduleTrigger, after: &str, expected: &[&str]) {
        let schedule = Schedule::of(trigger).unwrap();
        let mut last = at(after);
        let mut found = Vec::new();
        for _ in expected {
            last = schedule.next_after(last).unwrap();
            found.push(last);
        }
        let expected: Vec<_> = expected.iter().map(|text| at(text)).collect();
        assert_eq!(found, expected, "{trigger:?} after {after}");
    }

    #[test]
    fn ordinary_days() {
        check(
            &cron("*/5 * * * *", "UTC"),
            "2026-03-01T11:58:20.250Z",
            &["2026-03-01T12:00:00Z", "2026-03-01T12:05:00Z"],
        );
        check(
            &cron("*/5 * * * *", "UTC"),
            "2026-03-01T12:00:00Z",
            &["2026-03-01T12:05:00Z"],
        );
        check(
            &cron("*/5 * * * *", "UTC"),
            "2026-03-01T11:59:59.999Z",
            &["2026-03-01T12:00:00Z"],
        );
        check(
            &cron("*/20 * * * * *", "UTC"),
            "2026-12-31T23:59:30Z",
            &["2026-12-31T23:59:40Z", "2027-01-01T00:00:00Z"],
        );
        check(
            &cron("0 9 * * MON-FRI", "Asia/Tokyo"),
            "2026-11-20T12:00:00Z",
            &["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"],
        );
        check(
            &cron("0 0 29 2 *", "UTC"),
            "2026-01-01T00:00:00Z",
            &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        );
        check(
            &cron("0 12 L * *", "UTC"),
            "2028-02-01T00:00:00Z",
            &["2028-02-29T12:00:00Z", "2028-03-31T12:00:00Z"],
        );
        check(
            &cron("@daily", "UTC"),
            "2026-01-01T00:00:00Z",
            &["2026-01-02T00:00:00Z"],
        );
        // Day of month and day of week: either one is enough, as in Vixie cron.
        check(
            &cron("0 0 13 * 5", "UTC"),
            "2026-11-12T00:00:00Z",
            &["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"],
        );
        check(
            &cron("0 0 * * 7", "UTC"),
            "2026-11-20T00:00:00Z",
            &["2026-11-22T00:00:00Z"],
        );
    }

    #[test]
    fn the_hour_that_does_not_exist() {
        // Berlin: 2026-03-29, 02:00 becomes 03:00 (01:00Z).
        check(
            &cron("30 2 * * *", "Europe/Berlin"),
            "2026-03-28T00:00:00Z",
            &[
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z",
            ],
        );
        check(
            &cron("*/30 * * * *", "Europe/Berlin"),
            "2026-03-29T00:29:00Z",
            &[
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
            ],
        );
        // New York: 2026-03-08, 02:00 becomes 03:00 (07:00Z).
        check(
            &cron("30 2 * * *", "America/New_York"),
            "2026-03-07T12:00:00Z",
            &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
        );
    }

    #[test]
    fn the_hour_that_exists_twice() {
        // Berlin: 2026-10-25, 03:00 becomes 02:00 (01:00Z).
        check(
            &cron("30 2 * * *", "Europe/Berlin"),
            "2026-10-24T12:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
        check(
            &cron("*/30 * * * *", "Europe/Berlin"),
            "2026-10-24T23:59:00Z",
            &[
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
            ],
        );
        // New York: 2026-11-01, 02:00 becomes 01:00 (06:00Z).
        check(
            &cron("30 1 * * *", "America/New_York"),
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        );
        check(
            &cron("0 * * * *", "America/New_York"),
            "2026-11-01T04:30:00Z",
            &[
                "2026-11-01T05:00:00Z",
                "2026-11-01T06:00:00Z",
                "2026-11-01T07:00:00Z",
            ],
        );
    }

    #[test]
    fn every_counts_from_the_epoch() {
        check(
            &every(Duration::from_secs(300)),
            "2026-03-01T11:58:20.250Z",
            &["2026-03-01T12:00:00Z", "2026-03-01T12:05:00Z"],
        );
        check(
            &every(Duration::from_secs(3600)),
            "1969-12-31T23:30:00Z",
            &["1970-01-01T00:00:00Z"],
        );
        check(
            &every(Duration::from_secs(7)),
            "1970-01-01T00:00:07Z",
            &["1970-01-01T00:00:14Z"],
        );
        assert_eq!(
            next_after(
                &every(Duration::from_secs(1)),
                Timestamp::from_millis(i64::MAX)
            ),
            Ok(None)
        );
    }

    #[test]
    fn mistakes_are_explained() {
        let cases = [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("* * * * * * *", "7 fields"),
            ("60 * * * *", "out of bounds"),
            ("* 25 * * *", "out of bounds"),
            ("a * * * *", "illegal"),
            ("@often", "@hourly"),
            ("0 0 30 2 *", "never ticks"),
            ("*/0 * * * *", "step"),
        ];
        for (text, expected) in cases {
            let message = validate_cron(text).unwrap_err();
            assert!(
                message.to_lowercase().contains(expected),
                "{text:?}: {message}"
            );
        }
        for text in ["*/5 * * * *", "0 */5 * * * *", "0 0 29 2 *", "@hourly"] {
            assert_eq!(validate_cron(text), Ok(()), "{text}");
        }
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
            assert_eq!(validate_timezone(zone), Ok(()), "{zone}");
        }
        let near = validate_timezone("Europe/Berln").unwrap_err();
        assert!(near.contains("`Europe/Berlin`"), "{near}");
        let far = validate_timezone("moon").unwrap_err();
        assert!(far.contains("moon"), "{far}");
        assert!(validate_every(Duration::from_millis(999)).is_err());
        assert!(validate_every(Duration::from_secs(1)).is_ok());
        assert!(validate_every(Duration::from_secs(367 * 86_400)).is_err());
        assert!(validate_every(Duration::new(1, 1)).is_err());
    }

    /// Expressions that tick often enough for a property to see much of them.
    fn expressions() -> impl Strategy<Value = String> {
        prop_oneof![
            (1..=59u32).prop_map(|step| format!("*/{step} * * * *")),
            (0..=59u32, 0..=23u32).prop_map(|(minute, hour)| format!("{minute} {hour} * * *")),
            (0..=59u32, 1..=12u32).prop_map(|(minute, step)| format!("{minute} */{step} * * *")),
            (0..=59u32, 0..=6u32).prop_map(|(second, day)| format!("{second} 15 3 * * {day}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Ticks only go forward, none lies between a moment and its next tick, and asking from
        /// anywhere in between gives the same tick.
        #[test]
        fn a_next_tick_is_later_and_the_nearest(
            text in expressions(),
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/New_York")],
            // 2025 to 2028, so that changes of the clock are met.
            after in 1_735_689_600_000i64..1_830_297_600_000,
            within in 0.0..1.0f64,
        ) {
            let schedule = Schedule::of(&cron(&text, zone)).unwrap();
            let after = Timestamp::from_millis(after);
            let next = schedule.next_after(after).unwrap();
            prop_assert!(next > after);
            let distance = next.as_millis() - after.as_millis();
            let between = Timestamp::from_millis(
                after.as_millis() + ((distance - 1) as f64 * within) as i64,
            );
            prop_assert_eq!(schedule.next_after(between), Some(next), "from {}", between);
        }

        #[test]
        fn elapsed_ticks_are_those_that_asking_one_by_one_finds(
            text in expressions(),
            after in 1_735_689_600_000i64..1_830_297_600_000,
            hours in 0i64..2000,
        ) {
            let schedule = Schedule::of(&cron(&text, "Europe/Berlin")).unwrap();
            let after = Timestamp::from_millis(after);
            let until = Timestamp::from_millis(after.as_millis() + hours * 3_600_000);
            let (mut latest, mut count, mut at) = (None, 0, after);
            while let Some(next) = schedule.next_after(at).filter(|next| *next <= until) {
                (latest, count, at) = (Some(next), count + 1, next);
            }
            let expected = latest.map(|latest| Elapsed { latest, count: count.min(COUNTED) });
            prop_assert_eq!(schedule.elapsed(after, until), expected);
        }

        #[test]
        fn every_is_periodic(ms in 1000i64..10_000_000, after in -10_000_000_000i64..2_000_000_000_000) {
            let schedule = Schedule::of(&every(Duration::from_millis(ms as u64))).unwrap();
            let next = schedule.next_after(Timestamp::from_millis(after)).unwrap().as_millis();
            prop_assert!(next > after && next - after <= ms && next % ms == 0);
        }
    }
}
