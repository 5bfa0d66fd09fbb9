//! Killed runs and their recovery: the journal, the lock, `resume` and `repair`, with the binary
//! and two HTTPS servers.

mod killed;
mod locked;
mod pair;
mod secrets;
mod space;

/// Runs every case once for each TLS stack of this build.
macro_rules! for_each_stack {
    ($($module:ident::$case:ident)*) => {
        #[cfg(feature = "rustls")]
        mod rustls { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$module::$case("rustls").await; }
        )* }
        #[cfg(feature = "native-tls")]
        mod native { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$module::$case("native").await; }
        )* }
    };
}

for_each_stack! {
    killed::resume_tells_and_finishes_what_was_killed
    killed::repair_completes_what_a_killed_run_left_and_no_more
    killed::what_others_left_is_never_touched
    killed::without_the_journal_the_stamp_tells
    killed::a_record_that_cannot_be_read_is_named
    killed::an_upload_without_a_client_is_reported_and_left_unchanged
    killed::what_was_quarantined_stays_so
    killed::nothing_is_left_of_a_record_that_somebody_deleted
    locked::a_second_run_names_the_first
    locked::a_directory_is_written_by_one_process_at_a_time
    secrets::the_journal_holds_no_secret_and_resume_asks_for_it
    space::a_journal_without_room_ends_the_run_before_anything_is_half_done
    space::a_journal_that_can_t_be_written_is_named_before_anything_is_done
    space::a_spool_without_room_fails_what_does_not_fit_and_nothing_else
    space::a_spool_that_is_not_there_is_named
    space::a_slow_target_is_left_behind_when_the_spool_has_no_room
}
