//! The suite that every store must pass: a small case for each sentence of the port's contract.
//!
//! It knows nothing of any implementation. A case that fails panics, and says its name before.

mod answers;
mod claims;
mod conditions;
mod debounce;
mod deliveries;
mod lanes;
mod objects;
mod pauses;
mod restarts;
mod seats;
mod sweeps;
mod traces;
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
    lanes:
        one_of_a_key_after_the_other,
        a_retry_keeps_its_place,
        a_dead_one_steps_aside,
        one_that_is_redriven_while_another_is_retried,
        a_dead_one_blocks_its_key,
        what_blocks_is_swept_away,
        born_claimed_only_at_its_turn,
        a_late_commit_of_an_older_id_overtakes_no_one_that_runs,
        lanes_survive_a_restart,
        born_dead_blocks_nobody,
        who_is_ahead,
        a_long_lane_goes_on_to_its_end;
    seats:
        so_many_at_once,
        a_later_time_gives_its_seat_away,
        deferred_gives_its_seat_away,
        what_is_held_keeps_its_seat,
        order_comes_before_seats,
        born_claimed_only_with_a_seat,
        a_limit_that_grows_and_shrinks,
        a_limit_grows_for_many_keys;
    debounce:
        the_last_one_runs,
        only_what_was_never_started,
        keys_and_triggers_are_apart,
        it_is_not_born_claimed,
        what_is_published_for_later_waits_for_that,
        a_repetition_supersedes_nothing,
        its_place_in_a_lane_is_given_up;
    conditions:
        a_stale_settlement_changes_nothing,
        a_conflict_changes_nothing_either,
        an_ignored_intervention_changes_nothing,
        what_was_refused_leaves_no_trace_in_lanes;
    answers:
        the_first_answer_is_kept,
        keys_are_apart,
        what_was_begun_can_be_forgotten,
        what_the_last_epoch_had_begun_is_unknown,
        answers_are_forgotten,
        of_many_at_once_one_is_fresh;
    pauses:
        pauses_are_remembered,
        what_is_parked_comes_back,
        only_the_ready_are_parked,
        many_that_are_parked_come_back_in_steps;
    traces:
        what_an_event_came_of,
        how_deliveries_ended,
        events_by_id,
        large_events_come_in_pieces,
        dead_letters_by_all_that_is_known_of_them,
        a_census_counts_all_that_waits;
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
