//! Dry runs (`-n`) of the commands that copy images: what a run would do at each target, reported as
//! `plan` reports it. Nothing is changed at the stores or on disk.

use super::replicate::Opening;
use super::work::Work;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress;
use crate::report::Comparison;
use crate::resolve::selection::warn_of_no_image;

/// Reports what a run would do at these targets. A target that cannot be planned is reported at the
/// end; if there is only one, its error ends the command.
pub(super) async fn dry_run(works: Vec<Opening>) -> Result<Exit, CliError> {
    let is_one = works.len() == 1;
    let (names, works): (Vec<String>, Vec<_>) = works.into_iter().unzip();
    let mut plan = Comparison::of_dry_run(&names);
    let mut failures = Vec::new();
    let mut planned = Vec::new();
    for (target, work) in works.into_iter().enumerate() {
        let work = match work {
            Ok(work) => images(target, &work, &mut plan).await.map(|()| work),
            Err(error) => Err(error),
        };
        match work {
            Ok(work) => planned.push((target, work)),
            Err(error) => failures.push((target, error)),
        }
    }
    // The metadata definitions follow the images of all targets.
    for (target, work) in planned {
        if let Err(error) = metadefs(target, &work, &mut plan).await {
            failures.push((target, error));
        }
    }
    if let Some((_, error)) = is_one.then(|| failures.pop()).flatten() {
        return Err(error);
    }
    for (target, error) in &failures {
        plan.worse(*target, error.exit);
    }
    let exit =
        plan.finish().map_err(|error| CliError::unwritten("cannot write the plan", error))?;
    let failures = failures.into_iter().map(|(target, error)| error.at(&names[target]));
    Ok(failures.fold(exit, |exit, failure| exit.worse(output::failure(&failure))))
}

async fn images(target: usize, work: &Work, plan: &mut Comparison) -> Result<(), CliError> {
    let replication = &work.replication;
    let ended = replication.plan(|entry| plan.entry(target, &entry)).await;
    progress::end();
    plan.warn_of_refusal(target, ended?);
    // A stream that was read to its end cannot be counted again.
    if plan.is_empty(target) && !work.source.is_stream() {
        warn_of_no_image(&*replication.source, &replication.policy.selection).await?;
    }
    Ok(())
}

async fn metadefs(target: usize, work: &Work, plan: &mut Comparison) -> Result<(), CliError> {
    let Some(metadefs) = &work.metadefs else { return Ok(()) };
    let mapping = &work.replication.policy.mapping;
    metadefs.run(mapping, plan.metadefs(target), drop).await.map(drop)
}
