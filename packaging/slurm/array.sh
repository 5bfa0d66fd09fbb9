#!/bin/bash
# A sync by several machines: each task of the array does one shard of the images.
#
#   sbatch packaging/slurm/array.sh SOURCE TARGET [OPTION...]
#
# For another number of tasks, change it in both places below. Reports and state go to $WORK, which
# all machines share. When the array is done, one report is made of all:
#
#   sbatch --dependency=afterany:JOB --wrap='glance-replicator report merge WORK/JOB'
#
# To try again what failed, submit the whole array again: what is in place is not copied again.

#SBATCH --job-name=glance-replicator
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH --time=24:00:00
# Time to end cleanly, with a report, before the time above is over.
#SBATCH --signal=B:TERM@120

set -euo pipefail

shards=8

work=${WORK:-$HOME/glance-replicator}
# Digests that were computed are known to a later array that has as many tasks.
state=$work/state-$SLURM_ARRAY_TASK_ID-$shards
report=$work/$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID.json

# In place of this shell, so that the signal above reaches it.
exec glance-replicator sync "$@" --shard "auto/$shards" \
    --state-dir "$state" --output json --report "$report"
