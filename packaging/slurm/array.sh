#!/bin/bash
# Runs `sync` on several machines: each task of the array copies one shard of the images.
#
#   sbatch packaging/slurm/array.sh SOURCE TARGET [OPTION...]
#
# To use another number of tasks, change --array and shards below. Reports and state are written to
# $WORK (default: ~/glance-replicator), which must be shared by all machines. Slurm writes the output of
# each task to slurm-JOB_TASK.out in the directory where sbatch ran. When the array has finished, merge
# the reports:
#
#   sbatch --dependency=afterany:JOB --wrap='glance-replicator report merge WORK/JOB'
#
# To repeat a failed task, run `scontrol requeue JOB_TASK`; its new report replaces the old one. Slurm
# forgets finished tasks after MinJobAge (default: 5 minutes). Then submit the whole array again: images
# that are in place are not copied again.

#SBATCH --job-name=glance-replicator
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH --time=24:00:00
# Leaves 120 s for a clean end with a report before the time limit.
#SBATCH --signal=B:TERM@120
# A task whose machine fails starts again elsewhere, and continues its output file.
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

shards=8

: "${SLURM_ARRAY_TASK_ID:?submit this script with sbatch}"
work=${WORK:-$HOME/glance-replicator}
# A later array with the same number of tasks reuses the cached digests.
state=$work/state-$SLURM_ARRAY_TASK_ID-$shards
report=$work/$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID.json

# Replaces the shell, so that the signal above reaches the tool.
exec glance-replicator sync "$@" --shard "auto/$shards" \
    --state-dir "$state" --report "$report"
