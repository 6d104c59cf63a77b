//! One suite for every backend: what [`Store`](crate::Store) promises, case by case.
//!
//! ```ignore
//! fn open() -> (Arc<dyn Store>, impl Sized) { … }   // an empty store, and what must outlive it
//! rookery_store::conformance!(open());
//! ```
//!
//! makes one test of each case.

#![allow(missing_docs, reason = "the names of the cases are sentences")]
#![allow(clippy::unwrap_used, reason = "a case fails by panicking")]

pub mod accounts;
pub mod archive;
pub mod concurrency;
pub mod documents;
pub mod export;
pub mod limits;
pub mod log;
pub mod marks;
pub mod names;
pub mod roster;
pub mod standing;

use std::pin::Pin;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use crate::Store;
use crate::account::NewAccount;
use crate::log::{Append, LogEntry, LogQuery, Marks, Position};
use crate::name::NameChecks;
use crate::standing::Standing;

/// One case of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, a sentence.
    pub name: &'static str,
    /// Runs it on an empty store. It fails by panicking.
    pub run: for<'a> fn(&'a dyn Store) -> Running<'a>,
}

/// A case that runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Every case, for backends whose tests are no unit tests.
pub fn cases() -> Vec<Case> {
    crate::conformance_cases!(conformance_list)
}

/// Makes one test of each case of the suite. `$open` is an expression that makes an empty store, and
/// something that must outlive it, in a pair.
#[macro_export]
macro_rules! conformance {
    (@cases ($open:expr) $($topic:ident: [$($case:ident)*])*) => {
        $(mod $topic {
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                let (store, _outlives) = $open;
                $crate::conformance::$topic::$case(&*store).await;
            })*
        })*
    };
    ($open:expr) => {
        $crate::conformance_cases!(conformance $open);
    };
}

/// Makes a list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_list {
    (@cases () $($topic:ident: [$($case:ident)*])*) => {
        vec![$($($crate::conformance::Case {
            name: stringify!($case),
            run: |store| Box::pin($crate::conformance::$topic::$case(store)),
        },)*)*]
    };
}

/// The cases by topic, handed to the macro that is named first.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($then:ident $($open:expr)?) => {
        $crate::$then! { @cases ($($open)?)
            accounts: [
                a_created_account_is_found_as_it_was_given
                a_second_account_of_one_name_is_refused_and_changes_nothing
                new_credentials_replace_the_old
                a_disabled_account_is_enabled_again
                nothing_of_a_deleted_account_is_left
                an_account_made_again_begins_empty
                what_arrives_for_a_deleted_account_does_not_reach_its_successor
                accounts_are_listed_by_name_in_pages_and_by_host
                loading_gives_everything_at_once
                a_change_of_no_account_is_refused
                an_account_keeps_who_invited_it
            ]
            roster: [
                an_unknown_roster_is_empty
                an_item_is_found_as_it_was_put
                a_change_removes_then_puts_and_sets_the_version
                items_are_in_order_of_jid
                a_roster_needs_an_account
            ]
            documents: [
                a_document_is_found_under_its_owner_collection_and_key
                a_second_value_replaces_the_first
                a_deleted_document_is_gone_once
                a_collection_is_in_order_of_key
                a_replaced_collection_holds_only_the_new
                an_owner_needs_no_account
            ]
            log: [
                entries_come_back_in_order_of_position
                a_page_lies_strictly_between_its_bounds
                a_shared_entry_is_in_both_logs
                a_taken_position_keeps_its_first_entry
                a_late_entry_of_an_old_epoch_sorts_before_the_new
                removing_from_one_log_leaves_the_other
                a_removed_position_is_free_again
                trimming_goes_through_its_position
                a_long_range_is_removed_whole
                usage_counts_entries_and_bytes
                the_tail_never_falls_back
                old_stanzas_expire_from_both_logs
                expiry_goes_on_behind_a_young_stanza
                a_cursor_is_kept_by_name
                an_empty_append_changes_nothing
                an_entry_keeps_its_origin
                loading_gives_the_newest_origins
                an_entry_that_found_its_position_taken_leaves_no_origin
            ]
            marks: [
                an_entry_says_what_it_is_for_in_each_of_its_logs
                a_page_can_be_of_some_marks_only
                what_is_not_archived_is_removed_and_the_archive_stays
                a_page_by_time_holds_what_was_received_then
                a_page_by_time_bears_clocks_that_differ
                a_page_by_time_is_found_in_a_long_log
                a_taken_position_keeps_its_marks
                loading_counts_what_is_owed_above_the_cursor
            ]
            archive: [
                entries_are_found_by_sender_and_id_newest_first
                a_search_looks_at_so_many_entries_and_no_more
                a_replaced_entry_keeps_its_place_and_nothing_of_what_was_there
                what_was_replaced_does_not_come_back
                replacing_in_one_log_leaves_the_other
                an_entry_that_only_waits_can_be_replaced
            ]
            export: [
                every_owner_is_met_once_whatever_the_page
                all_that_an_owner_owns_is_exported
                long_collections_and_logs_are_exported_in_pages
                who_owns_nothing_is_not_exported
                pages_of_a_life_that_is_over_are_empty
                a_raised_log_never_falls_back
                a_frozen_store_does_not_change
            ]
            names: [
                a_look_alike_is_refused_by_the_name_that_it_looks_like
                a_look_alike_that_is_forced_stands_in_the_way_of_others
                hosts_do_not_stand_in_each_others_way
                a_deleted_name_is_gone_for_as_long_as_its_tombstone_says
                a_name_that_is_gone_for_ever_is_restored
                an_account_that_is_forced_lifts_its_tombstone
                a_deletion_without_a_tombstone_frees_the_name
                tombstones_are_listed_by_name_in_pages_and_by_host
                a_tombstone_is_put_only_where_there_is_no_account
                tombstones_are_exported
                of_concurrent_look_alikes_one_wins
            ]
            standing: [
                an_account_stands_as_it_was_created_and_as_it_was_set
                a_standing_changes_nothing_else_of_an_account
                a_standing_needs_an_account
                who_has_left_is_due_from_the_end_of_the_grace_on_and_others_are_not
                all_who_are_due_are_found_in_steps
                who_awaits_approval_is_listed_by_name_in_pages_and_by_host
                what_is_deleted_neither_leaves_nor_waits
                a_standing_is_exported
            ]
            concurrency: [
                of_concurrent_creations_one_wins
                concurrent_appends_are_all_there
                a_refused_operation_does_not_harm_its_neighbours
                reads_see_what_was_acknowledged_before_they_began
                a_deletion_beside_appends_leaves_no_stanza_behind
            ]
            limits: [
                an_owner_with_a_resource_is_refused
                an_account_without_a_local_part_is_refused
                a_stanza_at_the_limit_is_stored_and_one_beyond_is_refused
                a_document_at_the_limit_is_stored_and_one_beyond_is_refused
                a_name_beyond_the_limit_is_refused
                too_many_entries_in_one_call_are_refused
                an_entry_twice_in_one_log_is_refused
                a_page_is_never_longer_than_the_limit
                a_roster_version_beyond_63_bits_is_refused
            ]
        }
    };
}

/// The JID that `text` is.
fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("the suite writes valid JIDs")
}

/// An account with nothing special.
fn new_account(text: &str) -> NewAccount {
    NewAccount {
        jid: jid(text),
        credentials: credentials("secret"),
        created: Timestamp(1_000),
        details: [("email".to_owned(), format!("mailto:{text}"))].into(),
        address: Some([192, 0, 2, 1].into()),
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: None,
    }
}

/// The keys of `password`, with as few iterations as there can be.
fn credentials(password: &str) -> Credentials {
    Credentials::derive(password, b"some salt", 1).expect("the suite's passwords are valid")
}

/// Keys as text, to compare.
fn shown(credentials: &Credentials) -> String {
    serde_json::to_string(credentials).expect("credentials have a form in JSON")
}

/// The position `sequence` of epoch 1.
fn at(sequence: u64) -> Position {
    position(1, sequence)
}

/// The position `sequence` of `epoch`.
fn position(epoch: u32, sequence: u64) -> Position {
    Position::new(epoch, sequence).expect("the suite's positions are small")
}

/// A stanza that tells `number`.
fn stanza(number: u64) -> Bytes {
    format!("<message id='{number}'><body>{number}</body></message>").into()
}

/// The stanza `number` in the log of `owner`, received at that many milliseconds.
fn entry(owner: &Jid, number: u64) -> Append {
    Append::new(owner.clone(), at(number), stanza(number), Timestamp(number))
}

/// What [`entry`] becomes.
fn stored(number: u64) -> LogEntry {
    LogEntry {
        position: at(number),
        received: Timestamp(number),
        stanza: stanza(number),
        origin: None,
        marks: Marks::OWED,
    }
}

/// The first thousand entries of a log.
async fn whole_log(store: &dyn Store, owner: &Jid) -> Vec<LogEntry> {
    store
        .read_log(owner, LogQuery::after(None, 1_000))
        .await
        .expect("the log can be read")
}
