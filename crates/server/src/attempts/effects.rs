//! What is to happen when an attempt has succeeded.

use wakeful_core::port::Arrival;
use wakeful_objects::Staged;

/// One of them.
#[derive(Debug)]
pub enum Effect {
    /// An event comes in.
    Event(Box<Arrival>),
    /// An object changes.
    Object(Staged),
}

impl Effect {
    /// Bytes of data that it holds in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(arrival) => arrival.data.len(),
            Self::Object(_) => 0,
        }
    }
}

/// All of them, in the order in which they were asked for.
#[derive(Debug, Default)]
pub struct Effects {
    /// Events that come in.
    pub arrivals: Vec<Arrival>,
    /// Objects that change.
    pub staged: Vec<Staged>,
}

impl FromIterator<Effect> for Effects {
    fn from_iter<T: IntoIterator<Item = Effect>>(effects: T) -> Self {
        let mut all = Self::default();
        for effect in effects {
            match effect {
                Effect::Event(arrival) => all.arrivals.push(*arrival),
                Effect::Object(staged) => all.staged.push(staged),
            }
        }
        all
    }
}
