//! The contract: what every ledger does, as cases that know nothing of its insides.
//!
//! Each case gets a fresh, empty ledger. Time is the ledger's: a case that needs an
//! expiry leases for a moment and calls `tick` until it is reported.
//! [`contract_tests!`](crate::contract_tests) makes a test of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "cases are tests that live outside a test target, and their names say what they show"
)]

pub mod accounts;
pub mod backlog;
pub mod bodies;
pub mod budgets;
pub mod cancels;
pub mod children;
pub mod commits;
pub mod completions;
pub mod fairness;
mod given;
pub mod leases;
pub mod lists;
mod model;
mod random;
pub mod reconciling;
pub mod retention;
pub mod signals;
pub mod starts;
pub mod stats;
pub mod submissions;
pub mod timers;
pub mod watches;

use crate::Ledger;
pub use random::random_ops;
use std::sync::Arc;

type L = Arc<dyn Ledger>;

/// Makes a `#[tokio::test]` of each case of the contract. `make` is an expression that is
/// awaited for each of them and gives a fresh `Arc<dyn Ledger>`. The calling package needs
/// `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! contract_tests {
    (make = $make:expr) => {
        $crate::contract_tests! { @cases $make;
            submissions {
                a_submission_is_recorded_as_it_came,
                a_run_without_tasks_is_decided,
                first_tasks_need_no_decision,
                the_same_key_gives_the_same_run,
                a_key_with_another_digest_is_refused,
                a_key_belongs_to_its_tenant,
                a_key_outlives_its_run,
                a_run_id_is_used_once,
                malformed_submissions_leave_nothing,
                a_full_tenant_is_told_to_come_again,
                an_unknown_run_is_no_run,
                a_long_journal_is_read_in_parts,
            }
            leases {
                priority_comes_before_age,
                nothing_waiting_gives_nothing,
                a_wait_for_nothing_ends,
                a_wait_ends_with_a_submission,
                a_wait_ends_with_mail,
                a_repeated_request_gets_the_same_tasks,
                several_classes_are_served,
                requests_have_bounds,
                heartbeats_answer_in_order,
                a_heartbeat_keeps_the_lease,
                an_expired_task_is_leased_again,
                a_zombie_changes_nothing,
                a_task_is_lost_after_its_attempts,
                a_lost_decision_is_made_again,
                a_decision_brings_its_reading,
                ticks_are_bounded,
            }
            fairness {
                weights_divide_a_class,
                many_tenants_share_whatever_they_bring,
                costs_are_counted,
                a_light_tenant_waits_for_nobodys_backlog,
                staying_away_earns_a_few_tasks,
                a_tenant_at_its_cap_is_passed_over,
                decisions_do_not_count_against_the_cap,
                a_wait_ends_when_a_cap_is_lifted,
                terms_have_bounds,
                what_stands_is_told,
            }
            completions {
                an_outcome_becomes_mail_and_a_decision,
                an_outcome_is_recorded_once,
                outcomes_share_one_decision,
                after_the_end_only_the_spend_counts,
                completions_have_bounds,
            }
            commits {
                a_journal_has_no_gaps,
                a_moved_journal_refuses,
                a_repeated_commit_stands,
                a_decision_is_finished_for_good,
                unseen_mail_calls_for_another_decision,
                mail_during_a_decision_waits_for_it,
                an_invalid_part_leaves_nothing,
                task_numbers_rise,
                commits_have_bounds,
                a_queued_task_is_withdrawn,
                a_leased_task_is_withdrawn,
                a_withdrawn_task_is_not_leased_again,
                withdrawing_what_is_done_does_nothing,
                the_end_ends_everything,
                an_ending_commit_can_be_repeated,
            }
            timers {
                a_timer_becomes_mail_and_a_decision,
                setting_a_timer_again_moves_it,
                timers_vanish_at_the_end,
                a_run_may_start_with_timers,
                ticks_deliver_a_bounded_number,
                nothing_due_waits_for_nothing,
            }
            children {
                a_child_is_a_run_of_its_tree,
                a_child_may_start_with_tasks,
                a_child_ends_into_its_parents_mail,
                a_child_counts_against_no_cap,
                a_child_number_is_used_once,
                spend_rolls_up_to_the_root,
                a_withdrawn_child_is_cancelled,
                an_ended_parent_stops_its_children,
                a_child_may_end_after_its_parent,
            }
            cancels {
                a_cancel_becomes_mail_and_a_decision,
                a_cancel_is_asked_for_once,
                holders_are_told_to_abandon,
                queued_tasks_are_dropped,
                a_tree_is_cancelled_at_once,
                a_decision_that_missed_a_cancel_is_made_again,
            }
            signals {
                a_signal_becomes_mail_and_a_decision,
                a_signal_is_delivered_once,
                a_word_takes_the_end_of_its_wait_away,
                a_wait_that_is_over_refuses_the_word,
                a_word_may_come_before_its_wait,
                a_signal_brings_its_bodies,
                only_runs_under_way_are_told,
                signals_have_bounds,
            }
            starts {
                begun_work_is_not_given_again,
                a_start_can_be_repeated,
                only_holders_start,
                begun_work_of_an_ended_run_is_forgotten,
                a_silent_holder_is_reaped,
                a_living_holder_is_not_reaped,
                reaping_is_bounded,
            }
            budgets {
                reservations_add_up,
                a_budget_is_not_exceeded,
                each_resource_has_its_bound,
                settling_turns_reserved_into_spent,
                completing_settles_the_rest,
                a_lost_attempt_is_booked_in_full,
                a_repeated_booking_counts_once,
                the_next_attempt_counts_its_calls_anew,
                a_stale_holder_books_nothing,
                a_tree_has_one_budget,
                more_spent_than_reserved_is_recorded,
                a_lease_sets_aside_what_its_task_asks_for,
                a_lost_lease_is_booked_with_what_it_set_aside,
            }
            watches {
                a_watch_shows_past_present_and_future,
                a_watch_starts_where_it_is_told,
                a_watch_shows_who_holds_what,
                a_watch_shows_an_expiry,
                an_ended_run_is_watched_to_its_end,
                a_long_journal_is_watched_whole,
                a_slow_watcher_misses_nothing_unknowingly,
                a_watch_from_the_end_shows_the_end_alone,
            }
            lists {
                newest_first_and_bounded,
                a_list_goes_on_from_a_run,
                a_list_is_one_tenants,
                a_list_shows_how_runs_ended,
            }
            accounts {
                an_account_without_terms_has_room,
                quotas_hold_a_call_back,
                calls_at_a_time_are_counted,
                an_agent_takes_so_many_calls,
                a_permit_that_is_not_extended_runs_out,
                asking_again_is_the_same_call,
                releasing_twice_is_once,
                a_pause_holds_for_everybody,
                a_failing_account_is_left_alone,
                a_probe_opens_or_closes,
                accounts_are_apart,
                questions_have_bounds,
            }
            bodies {
                bodies_come_with_every_write,
                a_body_belongs_to_its_tenant,
                bodies_have_bounds,
            }
            reconciling {
                a_run_that_waits_for_nothing_decides_again,
                a_run_that_waits_is_left_alone,
                looks_are_bounded,
                a_parked_run_keeps_its_mail_and_nobody_else,
            }
            retention {
                for_ever_deletes_nothing,
                a_deleted_run_is_gone_as_a_whole,
                what_is_under_way_is_kept,
                the_oldest_go_when_there_are_too_many,
                a_key_keeps_its_run_for_a_while,
                a_shared_body_stays_with_its_last_run,
                a_deleted_key_and_body_can_be_used_again,
                deletions_are_bounded,
            }
            stats {
                what_waits_and_what_is_held_is_counted,
                many_queues_are_summed,
                runs_timers_and_bodies_are_counted,
            }
        }
    };
    (@cases $make:expr; $($group:ident { $($case:ident,)* })*) => {
        $(mod $group {
            #[allow(unused_imports, reason = "`make` may name things by their full path")]
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                $crate::contract::$group::$case(($make).await).await;
            })*
        })*
    };
}

/// A part of the suite in one test, for a server that is much like one that passes all of it:
/// each kind of call, with random arguments, against the model; and what needs more than one
/// call.
pub async fn sample(make: impl AsyncFn() -> L) {
    random_ops(&make, 6, 120).await;
    futures::join!(
        async { submissions::the_same_key_gives_the_same_run(make().await).await },
        async { submissions::a_long_journal_is_read_in_parts(make().await).await },
        async { leases::a_wait_ends_with_a_submission(make().await).await },
        async { leases::a_repeated_request_gets_the_same_tasks(make().await).await },
        async { leases::an_expired_task_is_leased_again(make().await).await },
        async { leases::a_zombie_changes_nothing(make().await).await },
        async { fairness::weights_divide_a_class(make().await).await },
        async { completions::outcomes_share_one_decision(make().await).await },
        async { commits::unseen_mail_calls_for_another_decision(make().await).await },
        async { accounts::a_pause_holds_for_everybody(make().await).await },
        async { accounts::accounts_are_apart(make().await).await },
        async { bodies::bodies_come_with_every_write(make().await).await },
        async { retention::a_deleted_run_is_gone_as_a_whole(make().await).await },
        async { stats::runs_timers_and_bodies_are_counted(make().await).await },
    );
}
