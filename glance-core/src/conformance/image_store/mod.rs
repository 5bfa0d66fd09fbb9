//! The conformance suite of [`ImageStore`].

use std::sync::Arc;

use super::{Case, Report};
use crate::ImageStore;

mod data;
mod reading;
mod records;
mod scratch;
mod selections;
mod uploads;

pub use data::damaged_data;

use scratch::Scratch;

/// Runs every case, each on a store from `make`, which may return a new store or the same one
/// again. The store must be writable, with credentials that permit everything.
pub async fn image_store(make: &dyn Fn() -> Arc<dyn ImageStore>) -> Report {
    let mut report = Report::default();
    for case in cases() {
        report.run(&case, &make()).await;
    }
    report
}

/// Runs the cases for a store that need not be writable, all on `store`. They read what it holds: at
/// least one image with data and a digest that this crate computes. Images of more than 4 MiB are
/// not read completely.
pub async fn read_only_store(store: Arc<dyn ImageStore>) -> Report {
    let mut report = Report::default();
    for case in read_only_cases() {
        report.run(&case, &store).await;
    }
    report
}

/// The single cases of [`read_only_store`].
pub fn read_only_cases() -> Vec<Case<Arc<dyn ImageStore>>> {
    macro_rules! cases {
        ($($name:ident)*) => {
            vec![$(Case {
                name: stringify!($name),
                run: |store| Box::pin(reading::$name(&**store)),
            },)*]
        };
    }
    cases! {
        a_listing_is_in_order
        a_listed_record_is_the_record
        unknown_ids_are_not_found
        selections_select
        data_matches_its_record
        ranges_are_parts_of_the_data
        ranges_past_the_end_are_refused
        nothing_is_begun
        a_store_refuses_changes_or_makes_them
    }
}

macro_rules! cases {
    ($($module:ident: $($name:ident)*;)*) => {
        vec![$($(Case {
            name: stringify!($name),
            run: |store| Box::pin(async {
                let scratch = Scratch::new(Arc::clone(store));
                let outcome = $module::$name(&scratch).await;
                let cleared = scratch.clear().await;
                outcome.and(cleared)
            }),
        },)*)*]
    };
}

/// The single cases, for a test harness that runs or skips them individually. The store may contain
/// other images and serve other clients at the same time: a case creates images with new random ids
/// and deletes them at the end, even if it fails.
pub fn cases() -> Vec<Case<Arc<dyn ImageStore>>> {
    cases! {
        records:
            a_new_record_is_queued
            an_id_is_taken_once
            a_listing_holds_every_image_once
            attributes_are_kept
            attributes_are_changed
            an_update_writes_only_what_differs
            formats_are_fixed_once_there_is_data
            shared_images_have_members
            other_images_have_no_members
            protected_images_stay
            deleted_images_are_gone
            unknown_ids_are_not_found;
        data:
            data_comes_back
            empty_data_comes_back
            ranges_are_cut_at_the_end
            ranges_past_the_end_are_refused
            queued_images_have_no_data
            activation_moves_both_ways
            queued_images_have_no_activation;
        selections:
            ids_select
            names_select
            tags_select
            properties_select
            kinds_select
            sizes_select
            times_select
            digests_select
            unwanted_images_are_left_out
            the_first_rule_that_fits_decides;
        uploads:
            digests_are_of_the_stored_bytes
            digests_that_come_with_the_data_are_kept_or_computed
            data_is_given_once
            a_body_of_unknown_size_is_stored
            a_short_body_is_not_stored
            a_failing_body_is_not_stored
            an_empty_body_that_fails_is_not_stored
            a_dropped_upload_is_not_stored
            nothing_is_begun_but_by_an_upload
            an_upload_goes_on_from_what_was_begun
            an_upload_may_begin_in_another_way;
    }
}
