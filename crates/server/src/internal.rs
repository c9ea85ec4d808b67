//! Triggers that stand in no manifest: those of invocations by name, and of outcomes that are sent
//! to an address. Their identities carry what is to be done, so that what is owed survives a
//! restart; the `$` keeps them apart from every name that a manifest can give.

use wakeful_core::{
    flow::{Destination, Flow},
    name::{FunctionName, HandlerName, TriggerId},
};

/// What the trigger of invocations is called.
const INVOKED: &str = "$invoke";

/// The trigger under which invocations by name are owed; it carries the export.
pub fn invoke_trigger(function: &FunctionName, handler: Option<&HandlerName>) -> TriggerId {
    match handler {
        None => TriggerId::new(function, INVOKED),
        Some(handler) => TriggerId::new(function, &format!("{INVOKED}.{handler}")),
    }
}

/// The export that an invocation names; `None` when the trigger is an ordinary one.
pub fn invoked_handler(
    function: &FunctionName,
    trigger: &TriggerId,
) -> Option<Option<HandlerName>> {
    match name_within(function, trigger)?.strip_prefix(INVOKED)? {
        "" => Some(None),
        rest => rest.strip_prefix('.')?.parse().ok().map(Some),
    }
}

/// How a delivery ended, as destinations tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// It is a dead letter.
    Failure,
}

impl Outcome {
    const ALL: [Self; 2] = [Self::Success, Self::Failure];

    const fn word(self) -> &'static str {
        match self {
            Self::Success => "$success.",
            Self::Failure => "$failure.",
        }
    }

    /// Where such an outcome goes.
    pub const fn destination(self, flow: &Flow) -> Option<&Destination> {
        match self {
            Self::Success => flow.on_success.as_ref(),
            Self::Failure => flow.on_failure.as_ref(),
        }
    }
}

/// The trigger under which the outcomes of `trigger` are owed to an address.
pub fn sent_trigger(function: &FunctionName, trigger: &TriggerId, outcome: Outcome) -> TriggerId {
    let name = name_within(function, trigger).unwrap_or(trigger.as_str());
    TriggerId::new(function, &format!("{}{name}", outcome.word()))
}

/// Whose outcomes are owed under `trigger`, and which; `None` when it is another kind of trigger.
pub fn sent(function: &FunctionName, trigger: &TriggerId) -> Option<(TriggerId, Outcome)> {
    let name = name_within(function, trigger)?;
    Outcome::ALL.into_iter().find_map(|outcome| {
        let of = name.strip_prefix(outcome.word())?;
        Some((TriggerId::new(function, of), outcome))
    })
}

fn name_within<'a>(function: &FunctionName, trigger: &'a TriggerId) -> Option<&'a str> {
    let rest = trigger.as_str().strip_prefix(function.as_str())?;
    rest.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_keeps_its_handler_in_the_trigger() {
        let function: FunctionName = "f".parse().unwrap();
        let handler: HandlerName = "getBook".parse().unwrap();
        for handler in [None, Some(handler)] {
            let trigger = invoke_trigger(&function, handler.as_ref());
            assert_eq!(invoked_handler(&function, &trigger), Some(handler));
            assert_eq!(sent(&function, &trigger), None);
        }
        for other in ["bucket.photos.default", "invoke", "invoke.getBook"] {
            let other = TriggerId::new(&function, other);
            assert_eq!(invoked_handler(&function, &other), None, "{other}");
            assert_eq!(sent(&function, &other), None, "{other}");
        }
    }

    #[test]
    fn an_outcome_keeps_its_trigger() {
        let function: FunctionName = "f".parse().unwrap();
        let trigger = TriggerId::new(&function, "bucket.photos.default");
        for outcome in Outcome::ALL {
            let owed = sent_trigger(&function, &trigger, outcome);
            assert_eq!(sent(&function, &owed), Some((trigger.clone(), outcome)));
            assert_eq!(invoked_handler(&function, &owed), None);
        }
    }
}
