#!/bin/bash
# Train the weights for share/ on a machine with a GPU, without Snakemake or a network: tests/gpu/train.sh OUT [OPTION ...]
# The recipe is config/config.yaml with config/train-gpu.yaml; the options are passed on to train_model. Training takes
# as many steps as fit into SECONDS_TO_TRAIN (default 180). Write their number into train-gpu.yaml when you commit the
# weights. OUT gets evaluation.json, predictions.png, predictions.csv, train.log and parts/{model_part_*,SHA256SUMS}.
set -euo pipefail
out=$(realpath -m "${1:?usage: tests/gpu/train.sh OUT [OPTION ...]}")
shift
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD/workflow_scripts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
exec > >(tee "$out/train.log") 2>&1

recipe() { sed -En '/^train:/,/^$/s/^  ([a-z_]+): *([0-9.e-]+).*/--\1 \2/p' "$1" | tr _ -; }
train() {
    # shellcheck disable=SC2046
    python3 -m train_model $(recipe config/config.yaml) $(recipe config/train-gpu.yaml) --width-multiplier 0.25 \
        --channels 0 1 2 10 --threads "$(nproc)" --checkpoint "$work/checkpoint.pt" --output "$work/model.pth" "$@"
}

# The GPU and cuDNN's depthwise kernels decide which memory layout is faster.
best=0
for layout in channels_last contiguous; do
    train --memory-layout $layout --samples 2 --steps 60 --evaluation-samples 1 --threads 2 \
        --evaluation "$work/probe.json" "$@" 2>&1 | tee "$work/probe.log"
    rate=$(sed -En 's/.* ([0-9.]+) steps\/s.*/\1/p' "$work/probe.log" | tail -1)
    echo "layout $layout: $rate steps/s"
    if awk "BEGIN { exit !($rate > $best) }"; then best=$rate fastest=$layout; fi
done
steps=$(awk "BEGIN { print int($best * ${SECONDS_TO_TRAIN:-180} / 100 + 1) * 100 }")
echo "trains $steps steps in layout $fastest"

train --memory-layout "$fastest" --steps "$steps" --evaluation "$out/evaluation.json" "$@"
python3 -m split_model --model "$work/model.pth" --output-dir "$out/parts"

# Draw prediction maps of samples of the default run, as the workflow does.
python3 -m fetch_file_index --source synthetic --split validation --num-files 3 --output "$work/index.tsv" \
    --statistics "$work/statistics.json"
python3 -m synthesize_shard --index "$work/index.tsv" --shard 0 --files-per-shard 3 --height 768 --width 1152 \
    --seed 2026 --processes 3 --output-dir "$work/hdf5/shard-00000"
python3 -m convert_shard --manifest "$work/hdf5/shard-00000/manifest.tsv" --output-dir "$work/npy/shard-00000" --threads 3
python3 -m describe_dataset --npy-dir "$work/npy" --shards 1 --source synthetic --threads 3 \
    --statistics "$work/statistics.json" --output "$work/dataset.json"
python3 -m compile_engine --backend eager --precision fp32 --device cpu --model "$work/model.pth" \
    --dataset "$work/dataset.json" --max-batch 1 --width-multiplier 0.25 --output "$work/engine.pt2"
python3 -m predict_samples --engine "$work/engine.pt2" --device cpu --dataset "$work/dataset.json" --samples 3 \
    --output "$work/predictions.npz"
python3 -m plot_predictions --predictions "$work/predictions.npz" \
    --svg "$work/predictions.svg" --png "$out/predictions.png" --csv "$out/predictions.csv"
cat "$out/evaluation.json"
