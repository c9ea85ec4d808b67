//! The suite that every store must pass: a small case for each sentence of the port's contract.
//!
//! It knows nothing of any implementation. A case that fails panics, and says its name before.

mod claims;
mod deliveries;
mod objects;
mod restarts;
mod sweeps;
mod transactions;
mod world;

use std::{fmt, pin::Pin, sync::Arc};

use wakeful_core::port::Store;

use world::World;

/// A fresh, empty store, and how to end it and bring up what it left.
pub struct Subject {
    store: Arc<dyn Store>,
    restart: Box<dyn FnOnce() -> Subject + Send>,
}

impl Subject {
    /// `restart` ends the store as a killed server would, and opens it again.
    pub fn new(store: Arc<dyn Store>, restart: impl FnOnce() -> Subject + Send + 'static) -> Self {
        Self {
            store,
            restart: Box::new(restart),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Ends the store and opens what it left.
    pub fn restart(self) -> Self {
        drop(self.store);
        (self.restart)()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

type Case = fn(World) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        &[$($((
            concat!(stringify!($module), "::", stringify!($case)),
            (|world| Box::pin($module::$case(world))) as Case,
        )),+),+]
    };
}

const CASES: &[(&str, Case)] = cases! {
    transactions:
        what_is_committed_can_be_read,
        an_event_survives_with_every_field,
        a_known_event_is_refused_whole,
        a_known_delivery_is_refused_whole,
        a_delivery_needs_its_event,
        refusals_leave_their_neighbours_alone,
        one_caller_keeps_its_order,
        a_dropped_reply_undoes_nothing,
        many_callers_at_once,
        checkpoints_are_replaced,
        the_greatest_id_is_remembered,
        the_id_of_a_repetition_counts,
        figures_are_right;
    deliveries:
        ready_is_by_time_and_id,
        ready_goes_on_after_a_row,
        ready_is_of_one_trigger_and_scope,
        the_backlog_counts_and_dates,
        what_is_held_is_in_no_backlog,
        deliveries_of_an_event,
        partitions_are_stored,
        repetitions_are_left_out,
        repetitions_are_per_trigger,
        repetitions_in_one_transaction,
        a_window_passes,
        windows_of_any_length;
    claims:
        a_claim_is_exclusive,
        what_expired_is_not_claimed,
        unknown_runs_are_left_out,
        born_claimed,
        success_leaves_the_store,
        a_charged_retry,
        an_uncharged_retry,
        a_failure_is_kept,
        held_for_a_version,
        dead_letters_are_listed,
        stale_settlements_change_nothing,
        redrive_gives_fresh_attempts,
        discard_only_the_dead,
        expire_only_the_queued,
        settled_and_created_together;
    objects:
        put_replace_and_delete,
        a_conflict_applies_nothing,
        keys_are_bytes,
        lists_are_by_prefix_and_place,
        buckets_are_apart,
        uploads_gather_parts,
        an_upload_becomes_an_object,
        uploads_without_their_begin,
        blobs_are_counted;
    restarts:
        an_epoch_begins,
        claims_of_older_epochs_are_void,
        everything_else_is_still_there,
        what_was_ended_finds_itself_closed;
    sweeps:
        events_go_when_nothing_is_owed,
        dead_letters_go_when_asked,
        keys_are_forgotten,
        a_sweep_takes_many_steps,
        what_grew_too_old_is_found,
        what_grew_too_old_is_found_in_steps;
};

/// Runs every case on a store of its own that `make` makes.
pub async fn conformance(make: impl Fn() -> Subject) {
    for (name, case) in CASES {
        eprintln!("case {name}");
        case(World::new(make())).await;
    }
}
