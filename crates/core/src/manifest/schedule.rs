//! `schedule` of a trigger: when a clock ticks.

use super::{
    duration::parse_duration,
    reader::{Fields, Item},
};
use crate::{
    project::{ScheduleTrigger, When},
    schedule,
};

/// Reads `schedule` of a trigger, and the keys that go with it.
pub(super) fn read(source: Item<'_>, fields: &Fields<'_>) -> Option<ScheduleTrigger> {
    let when = when(source);
    let timezone = fields.get("timezone");
    if let (Some(zone), Some(When::Every(_))) = (timezone, &when) {
        zone.refuse(
            "`timezone` means nothing to `every`",
            "leave it out: `every` counts from the Unix epoch, whatever the clock on the wall says",
        );
    }
    let zone = match timezone {
        None => Some("UTC".to_owned()),
        Some(item) => time_zone(item),
    };
    Some(ScheduleTrigger {
        when: when?,
        timezone: zone?,
    })
}

fn time_zone(item: Item<'_>) -> Option<String> {
    let text = item.text("an IANA time zone, such as \"Europe/Berlin\"")?;
    match schedule::validate_timezone(text) {
        Ok(()) => Some(text.to_owned()),
        Err(reason) => {
            item.refuse("`timezone` is not known", reason);
            None
        }
    }
}

fn when(item: Item<'_>) -> Option<When> {
    let text = item.text("a cron expression, or \"every 5m\"")?.trim();
    if let Some(distance) = text.strip_prefix("every") {
        let distance = parse_duration(distance.trim()).map_err(|error| error.to_string());
        let checked = distance.and_then(|it| schedule::validate_every(it).map(|()| it));
        return checked
            .map_err(|reason| item.refuse("`schedule` has no distance that can be kept", reason))
            .ok()
            .map(When::Every);
    }
    if text.starts_with("rate(") || text.starts_with("cron(") {
        item.refuse(
            "`schedule` is written as Amazon EventBridge does",
            "write \"every 5m\" for rate(5 minutes), and a cron expression without `cron(…)`",
        );
        return None;
    }
    schedule::validate_cron(text)
        .map_err(|reason| {
            item.refuse(
                format!("`schedule` is no cron expression: {}", lower_first(&reason)),
                "expected `minute hour day month weekday`, such as \"0 3 * * *\", or \"every 5m\"",
            );
        })
        .ok()
        .map(|()| When::Cron(text.to_owned()))
}

/// The parser of cron expressions begins its sentences in upper case; ours go on.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
