//! Checks that a token that cannot be renewed lasts as long as the run.

use std::time::Duration;

use keystone_auth::Session;
use replicator_engine::Replication;

use crate::error::CliError;
use crate::output::human_size;
use crate::resolve::endpoint::Side;

/// The transfer rate that is assumed without `--bwlimit`, in bytes per second: the maximum of a
/// link of 1 Gbit/s. Most copies are slower; a run is refused only if even this rate is too low.
const GIGABIT: u64 = 125_000_000;

/// Fails before the copy starts if the sign-in of a side ends before all data can be transferred.
/// The data is counted, which costs a listing, only if the sign-in ends at a known time.
pub(crate) async fn check(
    side: Side,
    session: Option<&Session>,
    replication: &Replication,
    limit: Option<u64>,
) -> Result<(), CliError> {
    let Some(session) = session else { return Ok(()) };
    let Some(left) = session.time_left().await? else { return Ok(()) };
    let bytes = replication.outstanding().await?;
    let needed = Duration::from_secs(bytes / limit.unwrap_or(GIGABIT));
    tracing::debug!(
        "{side}: the token is valid for {}, the transfer needs {}",
        span(left),
        span(needed)
    );
    if needed < left {
        return Ok(());
    }
    let rate = match limit {
        Some(limit) => format!("{}/s (--bwlimit)", human_size(limit)),
        None => "1 Gbit/s (the assumed maximum)".to_owned(),
    };
    let what = format!(
        "the {side}'s token expires in {} and cannot be renewed. Copying {} takes at least {} at \
         {rate}",
        span(left),
        human_size(bytes),
        span(needed)
    );
    Err(CliError::authentication(what).hint(
        "sign in with an application credential, which gets new tokens automatically: \
         `openstack application credential create`, then `auth_type: v3applicationcredential` in \
         clouds.yaml",
    ))
}

/// A duration as text for people: minutes and seconds, or hours and minutes.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_two_units() {
        let text = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([text(59), text(61), text(7_300)], ["59 s", "1 min 1 s", "2 h 1 min"]);
    }
}
