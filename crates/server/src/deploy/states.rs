//! How functions stand.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use wakeful_core::{name::FunctionName, project::Style};

use crate::control::FunctionState;

/// How each function stands, for `functions`. Cheap to clone.
#[derive(Clone, Default)]
pub struct States(Arc<Mutex<HashMap<FunctionName, Known>>>);

/// The state, and the style that the code was found to have.
type Known = (FunctionState, Option<Style>);

impl States {
    /// How a function stands, and the style that its code was found to have.
    pub fn get(&self, function: &FunctionName) -> (FunctionState, Option<Style>) {
        let states = self.0.lock();
        states
            .get(function)
            .cloned()
            .unwrap_or((FunctionState::Loading, None))
    }

    /// The version that is live loads.
    pub(super) fn live(&self, function: &FunctionName, style: Style) {
        let state = (FunctionState::Live, Some(style));
        self.0.lock().insert(function.clone(), state);
    }

    /// The version that is live does not load.
    pub(super) fn broken(&self, function: &FunctionName, why: wakeful_workers::Failure) {
        let state = (FunctionState::Broken(why), None);
        self.0.lock().insert(function.clone(), state);
    }

    /// A newer version does not load; the one that is live serves on.
    pub(super) fn outdated(&self, function: &FunctionName, why: wakeful_workers::Failure) {
        let mut states = self.0.lock();
        let style = states.get(function).and_then(|(_, style)| *style);
        states.insert(function.clone(), (FunctionState::Outdated(why), style));
    }

    /// What a function has on disk is what is live, again. Whether it was otherwise.
    pub(super) fn up_to_date(&self, function: &FunctionName) -> Option<Style> {
        let mut states = self.0.lock();
        let (state, style) = states.get_mut(function)?;
        if !matches!(state, FunctionState::Outdated(_)) {
            return None;
        }
        *state = match style {
            Some(_) => FunctionState::Live,
            None => FunctionState::Loading,
        };
        *style
    }

    pub(super) fn remove(&self, function: &FunctionName) {
        self.0.lock().remove(function);
    }
}

#[cfg(test)]
mod tests {
    use wakeful_core::delivery::{Failure, FailureKind};

    use super::*;

    #[test]
    fn a_function_that_serves_old_code_is_told_from_one_that_serves_none() {
        let states = States::default();
        let function: FunctionName = "f".parse().unwrap();
        let why = Failure::ours(FailureKind::Load, "no");
        assert_eq!(states.get(&function).0, FunctionState::Loading);
        states.live(&function, Style::Native);
        assert_eq!(states.up_to_date(&function), None);
        states.outdated(&function, why.clone());
        let outdated = FunctionState::Outdated(why.clone());
        assert_eq!(states.get(&function), (outdated, Some(Style::Native)));
        assert_eq!(states.up_to_date(&function), Some(Style::Native));
        assert_eq!(states.get(&function).0, FunctionState::Live);
        states.broken(&function, why.clone());
        assert_eq!(states.up_to_date(&function), None);
        assert_eq!(states.get(&function).0, FunctionState::Broken(why));
        states.remove(&function);
        assert_eq!(states.get(&function).0, FunctionState::Loading);
    }
}
