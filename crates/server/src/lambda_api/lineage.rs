//! Which run a request comes from, when a function made it.
//!
//! AWS SDKs send the `_X_AMZN_TRACE_ID` of their environment along, which names the attempt
//! (runtime/node/styles/lambda-env.js writes it). It is believed where the signature is that of the
//! same function and the attempt runs; it decides nothing about rights.

use http::HeaderMap;
use wakeful_core::{event::Lineage, id::RunId, name::FunctionName};

use super::Admitted;
use crate::{
    attempts::{AttemptKey, Attempts},
    vault::Principal,
};

const HEADER: &str = "x-amzn-trace-id";

/// What causes an invocation, and who waits for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) lineage: Lineage,
    /// The functions that wait for the answer, the first one longest.
    pub(super) waiting: Vec<FunctionName>,
}

/// Where an admitted request comes from; from outside when nothing is known.
pub(super) fn of(admitted: &Admitted, attempts: &Attempts) -> Origin {
    match &admitted.principal {
        Principal::Project => Origin::default(),
        Principal::Function(function) => from(function, &admitted.head.headers, attempts),
    }
}

fn from(function: &FunctionName, headers: &HeaderMap, attempts: &Attempts) -> Origin {
    let value = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let attempt = value.and_then(named).and_then(|key| attempts.find(key));
    let Some(attempt) = attempt.filter(|attempt| attempt.is_of(function)) else {
        return Origin::default();
    };
    let mut waiting = attempt.callers().to_vec();
    waiting.push(function.clone());
    Origin {
        lineage: attempt.cause(),
        waiting,
    }
}

/// `Root=1-SECONDS-RUN ATTEMPT`, the last two in 16 and 8 hexadecimal digits without a blank.
fn named(trace: &str) -> Option<AttemptKey> {
    let mut fields = trace.split(';').map(str::trim);
    let root = fields.find_map(|field| field.strip_prefix("Root=1-"))?;
    let (_, id) = root.split_once('-')?;
    let (run, attempt) = id.split_at_checked(16)?;
    let number = u32::from_str_radix(attempt, 16).ok()?;
    let run = i64::from_str_radix(run, 16).ok()?;
    Some((RunId::from_raw(run), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_an_attempt() {
        let trace = "Root=1-6923f1aa-0653706be880000100000002;Parent=0653706be8800001;Sampled=0";
        let key = (RunId::from_raw(0x0653_706b_e880_0001), 2);
        assert_eq!(named(trace), Some(key));
        for other in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-a-b",
            "Self=1",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn only_its_own_running_attempts_speak_for_a_function() {
        let (own, other): (FunctionName, FunctionName) =
            ("own".parse().unwrap(), "other".parse().unwrap());
        let attempts = Attempts::default();
        let cause = Lineage {
            depth: 3,
            ..Lineage::default()
        };
        let key = (RunId::from_raw(0x0653_706b_e880_0001), 2);
        let underway = attempts.answering(key, &own, cause, vec![other.clone()]);
        let trace = "Root=1-6923f1aa-0653706be880000100000002;Sampled=0";
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(HEADER),
            trace.parse().unwrap(),
        )]);
        let known = Origin {
            lineage: cause,
            waiting: vec![other.clone(), own.clone()],
        };
        assert_eq!(from(&own, &headers, &attempts), known);
        assert_eq!(from(&other, &headers, &attempts), Origin::default());
        assert_eq!(from(&own, &HeaderMap::new(), &attempts), Origin::default());
        underway.without_code();
        drop(underway);
        assert_eq!(from(&own, &headers, &attempts), Origin::default());
    }
}
