//! Rules that mean nothing where they stand, or can never work together.

use std::time::Duration;

use super::{
    super::{
        duration, filter,
        problem::Problem,
        reader::{Fields, Item},
        trigger::{Bases, Common, Placed},
    },
    shape::Shape,
};
use crate::{
    flow::{Destination, Flow, KeyExpression, Priority},
    limits,
    name::TopicPattern,
    project::{Answer, HttpTrigger, On},
    retry::RetryPolicy,
};

/// Why a rule means nothing to an endpoint whose callers wait, and what exists instead.
const SYNCHRONOUS: [(&str, &str); 12] = [
    (
        "filter",
        "a request is answered, not filtered: look at it in the function, and answer 404 or 422 \
         to what it does not want",
    ),
    ("retry", "the caller decides whether to ask again"),
    ("ordering_key", "requests are answered as they come"),
    (
        "concurrency_key",
        "requests do not wait for each other; `concurrency` of the function says how many of \
         them run at once",
    ),
    (
        "rate",
        "what exceeds a rate is held, and a caller is not; `concurrency` of the function says \
         how many of them run at once",
    ),
    ("debounce", "each request gets an answer of its own"),
    ("batch", "each request gets an answer of its own"),
    ("priority", "requests are answered as they come"),
    (
        "dedup",
        "callers send an `Idempotency-Key` header and get the first answer again; `idempotency` \
         says for how long",
    ),
    (
        "breaker",
        "the caller hears of each failure, and nothing is held",
    ),
    ("on_success", "the outcome goes to the caller"),
    ("on_failure", "the outcome goes to the caller"),
];

/// The rules that a function can say for all its triggers and that mean nothing to callers who
/// wait.
const DEFAULTS: [&str; 8] = [
    "retry",
    "ordering_key",
    "concurrency_key",
    "rate",
    "priority",
    "breaker",
    "on_success",
    "on_failure",
];

/// Checks what a trigger or route says, alone and with what its function says.
pub(in super::super) fn check_trigger(
    fields: &Fields<'_>,
    on: &On,
    common: &Common,
    bases: &Bases<'_>,
) {
    if let On::Http(_) = on
        && common.is_synchronous()
    {
        refuse_on_synchronous(fields);
        if common.keeps_no_answer() {
            refuse_on_unknown(fields);
        }
        return;
    }
    let rules = Rules {
        own: fields,
        function: Some(bases.fields),
        flow: &common.flow,
        retry: &common.retry,
    };
    rules.check(bases);
    if let On::Topic(pattern) = on {
        rules.warn_of_waking_itself(pattern);
    }
    if let Some(shape) = Shape::of(on) {
        rules.check_keys(&shape);
        if let Some(item) = fields.find("filter") {
            filter::refuse_extensions(item, |name| shape.better(name));
            shape.check_filter(item);
        }
    }
}

/// Checks what a function says for all its triggers.
pub(in super::super) fn check_defaults(bases: &Bases<'_>) {
    let rules = Rules {
        own: bases.fields,
        function: None,
        flow: &bases.flow,
        retry: &bases.retry,
    };
    rules.check(bases);
}

/// Tells of what a function says for all its triggers, when it holds for none of them.
pub(in super::super) fn warn_of_idle_defaults(triggers: &[Placed], bases: &Bases<'_>) {
    let waits = |placed: &Placed| {
        matches!(
            &placed.trigger.on,
            On::Http(HttpTrigger {
                answer: Answer::Waits { .. },
                ..
            })
        )
    };
    let Some(first) = triggers.first() else {
        return;
    };
    if !triggers.iter().all(waits) {
        return;
    }
    for item in DEFAULTS.iter().filter_map(|name| bases.fields.get(name)) {
        let message = format!(
            "{} holds for no trigger of function `{}`: callers wait for all its answers",
            item.title(),
            bases.function
        );
        item.report.warning(
            Problem::at(item.key_span(), message)
                .also(&first.at, "an endpoint of it")
                .help(
                    "it holds only when the function is invoked without waiting; an endpoint \
                     with async = true keeps its requests as events, and then it holds for them",
                ),
        );
    }
}

fn refuse_on_synchronous(fields: &Fields<'_>) {
    for (name, reason) in SYNCHRONOUS {
        if let Some(item) = fields.find(name) {
            let message = format!("`{name}` means nothing to callers who wait for an answer");
            let help = format!("{reason}; with async = true they get 202 at once, and it holds");
            (fields.report).problem(Problem::at(item.key_span(), message).help(help));
        }
    }
}

/// What nobody knows the outcome of only matters to who may ask for it again.
fn refuse_on_unknown(fields: &Fields<'_>) {
    let (Some(rule), Some(kept)) = (fields.find("on_unknown"), fields.find("idempotency")) else {
        return;
    };
    fields.report.problem(
        Problem::at(
            rule.key_span(),
            "`on_unknown` means nothing with `idempotency = false`",
        )
        .also(kept.key_span(), "no answer is kept")
        .help(
            "it says what a repeated request with an `Idempotency-Key` gets when the first one \
             ended in mid-run; leave one of them out",
        ),
    );
}

/// The rules that hold for a trigger, and where each of them was said.
struct Rules<'r, 'a> {
    own: &'r Fields<'a>,
    /// The function around it.
    function: Option<&'r Fields<'a>>,
    flow: &'r Flow,
    retry: &'r RetryPolicy,
}

impl<'a> Rules<'_, 'a> {
    fn check(&self, bases: &Bases<'_>) {
        self.refuse_order_in_debounce();
        self.refuse_batch_of_debounced();
        self.refuse_dedup_of_debounced();
        self.refuse_too_old();
        self.warn_of_concurrency(bases);
        self.warn_of_order_and_concurrency();
        self.warn_of_calling_itself(bases);
    }

    /// Where a rule was said.
    fn item(&self, name: &'static str) -> Option<Item<'a>> {
        let outer = || self.function.and_then(|fields| fields.find(name));
        self.own.find(name).or_else(outer)
    }

    /// The places of two rules of which at least one was said here, the one to blame first.
    fn pair(&self, one: &'static str, other: &'static str) -> Option<(Item<'a>, Item<'a>)> {
        let (first, second) = (self.item(one)?, self.item(other)?);
        match (self.own.find(one), self.own.find(other)) {
            (Some(_), _) => Some((first, second)),
            (None, Some(_)) => Some((second, first)),
            (None, None) => None,
        }
    }

    fn contradiction(&self, one: &'static str, other: &'static str, message: &str, help: &str) {
        if let Some((blamed, with)) = self.pair(one, other) {
            let both_here = self.own.find(one).is_some() && self.own.find(other).is_some();
            let label = if both_here {
                "and this"
            } else {
                "said for all triggers"
            };
            self.own.report.problem(
                Problem::at(blamed.key_span(), message)
                    .also(with.key_span(), label)
                    .help(help),
            );
        }
    }

    fn refuse_order_in_debounce(&self) {
        if self.flow.debounce.is_some() && self.flow.ordering.is_some() {
            self.contradiction(
                "debounce",
                "ordering_key",
                "`debounce` and `ordering_key` contradict each other",
                "only the last event of a key remains, so nothing is left to be ordered; keep one \
                 of them (ordering_key = false takes back what the function says)",
            );
        }
    }

    fn refuse_batch_of_debounced(&self) {
        if self.flow.debounce.is_some() && self.flow.batch.is_some() {
            self.contradiction(
                "batch",
                "debounce",
                "`batch` and `debounce` contradict each other",
                "one wants all events together, the other only the last one; keep one of them",
            );
        }
    }

    fn refuse_dedup_of_debounced(&self) {
        let (Some(dedup), Some(debounce)) = (&self.flow.dedup, &self.flow.debounce) else {
            return;
        };
        if debounce.key.as_ref() == Some(&dedup.key) && dedup.window >= debounce.wait {
            self.contradiction(
                "dedup",
                "debounce",
                "`dedup` leaves out every event that `debounce` waits for",
                "both go by the same key: the first event of a key would run, never the last one; \
                 keep one of them, or give them different keys",
            );
        }
    }

    /// A delivery that waits for longer than it may grow old never runs. (What is waited for by
    /// default is far less than the default age, so that `retry` was said.)
    fn refuse_too_old(&self) {
        let age = self.retry.max_age;
        let refuse = |name: &'static str, what: &str, wait: Duration| {
            if wait < age {
                return;
            }
            let (wait, age) = (duration::show(wait), duration::show(age));
            let message = format!(
                "`{what}` of `{name}` is {wait}, not shorter than `max_age`, which is {age}"
            );
            let help = "events would grow too old before they run: wait less, or raise `max_age`";
            self.contradiction(name, "retry", &message, help);
        };
        if let Some(debounce) = &self.flow.debounce {
            refuse("debounce", "wait", debounce.wait);
        }
        if let Some(batch) = self.flow.batch {
            refuse("batch", "window", batch.window);
        }
    }

    fn warn_of_concurrency(&self, bases: &Bases<'_>) {
        let Some(item) = self.own.find("concurrency_key") else {
            return;
        };
        let limit = self.flow.concurrency.as_ref().map_or(0, |rule| rule.limit);
        let most = bases.concurrency;
        if limit > most {
            let message =
                format!("`concurrency_key` allows {limit} at once, and the function {most}");
            let problem = Problem::at(item.key_span(), message);
            self.own.report.warning(
                match bases.fields.get("concurrency") {
                    Some(whole) => problem.also(whole.key_span(), "for all keys together"),
                    None => problem,
                }
                .help("it never holds anything back; write less, or raise `concurrency`"),
            );
        }
    }

    fn warn_of_order_and_concurrency(&self) {
        let (Some(order), Some(concurrency)) = (&self.flow.ordering, &self.flow.concurrency) else {
            return;
        };
        if order.key != concurrency.key {
            return;
        }
        if let Some((blamed, with)) = self.pair("concurrency_key", "ordering_key") {
            self.own.report.warning(
                Problem::at(
                    blamed.key_span(),
                    "`concurrency_key` adds nothing to `ordering_key` with the same key",
                )
                .also(with.key_span(), "and this")
                .help("what is in order runs one after the other anyway; leave one of them out"),
            );
        }
    }

    fn warn_of_calling_itself(&self, bases: &Bases<'_>) {
        let rules = [
            ("on_success", &self.flow.on_success),
            ("on_failure", &self.flow.on_failure),
        ];
        for (name, destination) in rules {
            if let Some(Destination::Function(function, _)) = destination
                && function == bases.function
                && let Some(item) = self.own.find(name)
            {
                self.own.report.warning(
                    Problem::at(
                        item.key_span(),
                        format!("with `{name}` function `{function}` calls itself"),
                    )
                    .help(format!(
                        "the chain is stopped after {} events; name another function if that is \
                         not what you want",
                        limits::MAX_CHAIN
                    )),
                );
            }
        }
    }

    fn warn_of_waking_itself(&self, pattern: &TopicPattern) {
        let rules = [
            ("on_success", &self.flow.on_success),
            ("on_failure", &self.flow.on_failure),
        ];
        for (name, destination) in rules {
            if let Some(Destination::Topic(topic)) = destination
                && pattern.matches(topic)
                && let Some(item) = self.item(name)
            {
                let message =
                    format!("with `{name}` this trigger wakes itself: `{pattern}` means `{topic}`");
                let problem = Problem::at(item.key_span(), message);
                let problem = match self.own.find("topic") {
                    Some(source) => problem.also(source.span(), "what wakes it"),
                    None => problem,
                };
                (self.own.report).warning(problem.help(format!(
                    "the chain is stopped after {} events; publish under another topic",
                    limits::MAX_CHAIN
                )));
            }
        }
    }

    /// Our own sources give their events no extension attributes: such a name is a mistake. And
    /// what their data hold is known.
    fn check_keys(&self, shape: &Shape) {
        for (name, key) in self.keys() {
            let Some(item) = self.own.find(name) else {
                continue;
            };
            shape.check_key(item, key);
            if let Some(extension) = key.extensions().next() {
                let message = format!("events of this source have no attribute `{extension}`");
                self.own
                    .report
                    .problem(Problem::at(item.span(), message).help(format!(
                        "did you mean \"{}\"? Extension attributes come with events that are \
                         published",
                        shape.better(extension)
                    )));
            }
        }
    }

    /// The key expressions of all rules, each with the name of its rule.
    fn keys(&self) -> impl Iterator<Item = (&'static str, &KeyExpression)> {
        let flow = self.flow;
        let priority = match &flow.priority {
            Some(Priority::Key(key)) => Some(key),
            _ => None,
        };
        let keys = [
            ("ordering_key", flow.ordering.as_ref().map(|it| &it.key)),
            (
                "concurrency_key",
                flow.concurrency.as_ref().map(|it| &it.key),
            ),
            ("rate", flow.rate.as_ref().and_then(|it| it.key.as_ref())),
            (
                "debounce",
                flow.debounce.as_ref().and_then(|it| it.key.as_ref()),
            ),
            ("priority", priority),
            ("dedup", flow.dedup.as_ref().map(|it| &it.key)),
            (
                "breaker",
                flow.breaker.as_ref().and_then(|it| it.key.as_ref()),
            ),
        ];
        keys.into_iter()
            .filter_map(|(name, key)| key.map(|key| (name, key)))
    }
}
