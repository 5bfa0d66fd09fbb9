//! Dry runs (`-n`) of the commands that copy images: what a run would do at each target, reported as
//! `plan` reports it. Nothing is changed at the stores or on disk.

use super::replicate::Opening;
use super::work::Work;
use crate::args::Options;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report::Comparison;
use crate::resolve::selection::warn_of_no_image;

/// Reports what a run would do at these targets. A target that cannot be planned is reported at the
/// end; if there is only one, its error ends the command.
pub(super) async fn dry_run(works: Vec<Opening>, options: &Options) -> Result<Exit, CliError> {
    let is_one = works.len() == 1;
    let (mut plans, mut failures) = (Vec::new(), Vec::new());
    for (word, work) in works {
        let mut plan = Comparison::of_dry_run(options.output, &word, is_one);
        let planned = match work {
            Ok(work) => planned(&work, &mut plan).await,
            Err(error) => Err(error),
        };
        match planned {
            Ok(()) => {}
            Err(error) if is_one => return Err(error),
            Err(error) => {
                plan.worse(error.exit);
                failures.push(error.at(&word));
            }
        }
        plans.push(plan);
    }
    let exit = Comparison::finish_all(plans, options.output);
    Ok(failures.iter().fold(exit, |exit, failure| exit.worse(output::failure(failure))))
}

async fn planned(work: &Work, plan: &mut Comparison) -> Result<(), CliError> {
    let replication = &work.replication;
    replication.plan(|entry| plan.entry(&entry)).await?;
    // A stream that was read to its end cannot be counted again.
    if plan.is_empty() && !work.source.is_stream() {
        warn_of_no_image(&*replication.source, &replication.policy.selection).await?;
    }
    if let Some(metadefs) = &work.metadefs {
        let mut compared = plan.of_metadefs();
        metadefs.run(&replication.policy.mapping, &mut compared, drop).await?;
        plan.with_metadefs(compared);
    }
    Ok(())
}
