//! The shard of the images that this process handles.

use std::num::NonZeroU32;

use glance_core::selection::Shard;

use crate::args::ShardOption;
use crate::error::CliError;

/// The shard of `--shard`. With `auto`, the environment determines the number.
pub(crate) fn shard(
    typed: ShardOption,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Shard, CliError> {
    let of = match typed {
        ShardOption::Named(shard) => return Ok(shard),
        ShardOption::FromEnvironment(of) => of,
    };
    match (environment(KUBERNETES), environment(SLURM)) {
        (Some(index), None) => of_a_job(&index, of),
        (None, Some(id)) => of_an_array(&id, of, environment),
        (None, None) => Err(unclear(of, &format!("neither {KUBERNETES} nor {SLURM} is set"))),
        (Some(_), Some(_)) => Err(unclear(of, &format!("both {KUBERNETES} and {SLURM} are set"))),
    }
}

/// The shard for a pod of a Kubernetes Indexed Job. Kubernetes numbers the pods from 0 and does not
/// provide their count.
fn of_a_job(index: &str, of: NonZeroU32) -> Result<Shard, CliError> {
    let number = index.parse().ok().and_then(|index: u32| Shard::new(u64::from(index) + 1, of));
    number.ok_or_else(|| {
        let last = of.get() - 1;
        let reason = format!("{KUBERNETES} is {index}, but a Job of {of} counts from 0 to {last}");
        unclear(of, &reason)
    })
}

/// The shard for a task of a Slurm array, which may begin at any number. Fails unless the array
/// consists of exactly `of` consecutive tasks: if only some tasks are submitted again, the first
/// number of the whole array is unknown.
fn of_an_array(
    id: &str,
    of: NonZeroU32,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Shard, CliError> {
    let number = |name: &str| environment(name)?.parse::<u64>().ok();
    let bounds = number("SLURM_ARRAY_TASK_MIN").zip(number("SLURM_ARRAY_TASK_MAX"));
    let all = u64::from(of.get());
    let shard = id.parse::<u64>().ok().zip(bounds).and_then(|(id, (first, last))| {
        let in_a_row = last.checked_sub(first)? == all - 1;
        let complete = number("SLURM_ARRAY_TASK_COUNT") == Some(all);
        Shard::new(id.checked_sub(first)?.checked_add(1)?, of).filter(|_| in_a_row && complete)
    });
    shard.ok_or_else(|| {
        let again = format!("submit the whole array, such as --array=1-{of}");
        unclear(of, &format!("this Slurm array does not have {of} consecutive tasks: {again}"))
    })
}

fn unclear(of: NonZeroU32, reason: &str) -> CliError {
    let what =
        format!("--shard auto/{of} cannot determine which of the {of} shards to use: {reason}");
    CliError::usage(what).hint(format!("give its number: --shard I/{of}, with I from 1 to {of}"))
}

const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const SLURM: &str = "SLURM_ARRAY_TASK_ID";

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(typed: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let shard = shard(typed.parse().unwrap(), environment);
        shard.map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    fn of_array(
        typed: &str,
        id: &str,
        min: &str,
        max: &str,
        count: &str,
    ) -> Result<String, String> {
        resolved(
            typed,
            &[
                (SLURM, id),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_COUNT", count),
            ],
        )
    }

    #[test]
    fn a_pod_is_the_shard_after_its_index() {
        assert_eq!(resolved("auto/8", &[(KUBERNETES, "0")]).unwrap(), "1/8");
        assert_eq!(resolved("auto/8", &[(KUBERNETES, "7")]).unwrap(), "8/8");
        for index in ["8", "-1", "x", "4294967295"] {
            let error = resolved("auto/8", &[(KUBERNETES, index)]).unwrap_err();
            assert!(
                error.contains(&format!("is {index}, but a Job of 8 counts from 0 to 7")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_task_is_the_shard_at_its_place_in_a_complete_array() {
        assert_eq!(of_array("auto/8", "0", "0", "7", "8").unwrap(), "1/8");
        assert_eq!(of_array("auto/8", "8", "1", "8", "8").unwrap(), "8/8");
        assert_eq!(of_array("auto/3", "11", "10", "12", "3").unwrap(), "2/3");
        for (id, min, max, count) in [
            // A task submitted again alone, with others, with a step, or as another array.
            ("3", "3", "3", "1"),
            ("3", "3", "5", "2"),
            ("3", "1", "8", "4"),
            ("3", "1", "15", "8"),
            ("3", "1", "4", "4"),
            ("9", "1", "8", "8"),
            ("0", "1", "8", "8"),
            ("3", "8", "1", "8"),
            ("3", "", "", ""),
        ] {
            let error = of_array("auto/8", id, min, max, count).unwrap_err();
            assert!(error.contains("does not have 8 consecutive tasks"), "{error}");
        }
    }

    #[test]
    fn a_shard_that_is_named_needs_no_environment() {
        assert_eq!(resolved("2/8", &[(KUBERNETES, "0"), (SLURM, "5")]).unwrap(), "2/8");
        assert!(
            resolved("auto/8", &[(KUBERNETES, "0"), (SLURM, "5")]).unwrap_err().contains("both")
        );
        assert!(resolved("auto/8", &[]).unwrap_err().contains("neither"));
        for text in ["auto", "auto/0", "auto/", "/8", "auto/x", "0/8"] {
            assert!(text.parse::<ShardOption>().is_err(), "{text}");
        }
    }
}
