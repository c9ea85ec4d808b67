//! A deterministic simulation of the life of deliveries.
//!
//! One seed decides everything: which triggers with which rules there are, what arrives, how user
//! code and workers fare, when the server dies, the clock is set, the disk fills. The rules are the
//! production ones (`wakeful_core::flow::Gate`, `delivery::settlement`, `RetryPolicy`,
//! `KeyExpression`, `batch_failures`), on the production store in memory; time, workers and faults
//! are simulated. A model of its own (`model`) is told the facts and says what must never be:
//! something acknowledged is lost, settled twice, started out of its order, beyond its limit or its
//! rate, charged although it was held, tried too often; or something never ends.
//!
//! It knows neither the server nor its runtime. The same seed gives the same bytes of trace.

mod dice;
mod disk;
mod model;
mod mutation;
mod scenario;
mod trace;
mod world;

pub use mutation::Mutation;
pub use trace::Trace;

/// What became of one seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was violated; `None` when all held and all ended.
    pub broken: Option<String>,
    /// How many deliveries there were.
    pub deliveries: usize,
    /// What happened.
    pub trace: Trace,
}

/// Runs one seed; `keep` keeps the text of the trace, `mutation` breaks a rule on purpose.
pub fn run(seed: u64, keep: bool, mutation: Option<Mutation>) -> Report {
    let mut world = world::World::new(seed, keep, mutation);
    world.run();
    Report {
        seed,
        broken: world.model.broken.take(),
        deliveries: world.model.runs.len(),
        trace: world.trace,
    }
}
