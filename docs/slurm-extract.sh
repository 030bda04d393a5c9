#!/bin/bash
# Descriptors of many pictures, on four machines with four GPUs each:
#
#     PICTURES='/data/{000000..000999}.tar' SCRATCH=/scratch/me sbatch slurm-extract.sh
#
# Submit it once. It gets SIGTERM two minutes before its time is over, keeps what is done, and puts itself
# back into the queue until all is done, at most 20 times. Another number of machines goes on as well.
#SBATCH --job-name=descriptors --requeue --open-mode=append
#SBATCH --nodes=4 --ntasks-per-node=1 --gpus-per-node=4 --cpus-per-task=32
#SBATCH --time=24:00:00 --signal=TERM@120
set -u
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # else srun gives each task one core
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node=4 --max-restarts=3 \
    --rdzv-id="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}" --rdzv-backend=c10d --rdzv-endpoint="$head:29500" \
    -m vggfeat extract --images "$PICTURES" --net vgg16 --to "$SCRATCH/descriptors/"
status=$?
if [ "$status" -ne 0 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
