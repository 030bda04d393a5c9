#!/bin/bash
# Net D on ILSVRC-2012, on two machines with four GPUs each:
#
#     IMAGENET=/data/ILSVRC2012 SCRATCH=/scratch/me sbatch slurm.sh
#
# Submit it as many times as the training takes days: the jobs run one after the other, each saves
# two minutes before its end and the next goes on from there.
#SBATCH --job-name=vgg16 --dependency=singleton
#SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 --cpus-per-task=32
#SBATCH --time=24:00:00 --signal=TERM@120
set -eu
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # else srun gives each task one core
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes=2 --nproc-per-node=4 --max-restarts=3 \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$head:29500" \
    -m vggfeat pretrain vgg16 --data "$IMAGENET" --out "$SCRATCH/runs"
