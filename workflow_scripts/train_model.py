"""Train the network on synthetic samples and evaluate it on others. An interrupted run continues where it stopped."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from deepcam import cli, files
from deepcam.config.types import Channel, Fraction, Length, Positive, Seed, Share, argument
from deepcam.model import checkpoint, training, training_data


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--seed", type=argument(Seed), required=True, help="seed of samples, weights and crops")
    parser.add_argument("--samples", type=argument(Positive), required=True, help="number of samples to train on")
    parser.add_argument("--height", type=argument(Length), required=True, help="rows of a sample")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns of a sample")
    parser.add_argument("--crop-width", type=argument(Positive), required=True, help="columns of a crop")
    parser.add_argument(
        "--event-crops", type=argument(Share, float), required=True, help="share of crops that are chosen for events"
    )
    parser.add_argument("--batch-size", type=argument(Positive), required=True, help="crops per step")
    parser.add_argument("--steps", type=argument(Positive), required=True, help="total number of steps")
    parser.add_argument(
        "--learning-rate", type=argument(Fraction, float), required=True, help="highest learning rate of the schedule"
    )
    parser.add_argument(
        "--width-multiplier", type=argument(Fraction, float), required=True, help="width of every layer; 1 is MLPerf's"
    )
    parser.add_argument("--channels", type=argument(Channel), nargs="+", required=True, help="channel numbers")
    parser.add_argument("--checkpoint-steps", type=argument(Positive), required=True, help="steps between checkpoints")
    parser.add_argument(
        "--evaluation-samples", type=argument(Positive), required=True, help="number of held-out samples"
    )
    parser.add_argument(
        "--memory-layout",
        choices=training.LAYOUTS,
        default="channels_last",
        help="layout of weights and activations; affects only speed (default channels_last)",
    )
    parser.add_argument("--device", default="auto", help="auto (default: the first GPU, else the CPU), cpu or cuda:N")
    parser.add_argument(
        "--threads", type=argument(Positive), required=True, help="CPU threads, and samples to make in parallel"
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="file for progress; removed at the end")
    parser.add_argument("--output", type=Path, required=True, help="model to write")
    parser.add_argument("--evaluation", type=Path, required=True, help="evaluation to write, JSON with the IoU")
    arguments = parser.parse_args()
    recipe = training.Recipe(
        seed=arguments.seed,
        samples=arguments.samples,
        height=arguments.height,
        width=arguments.width,
        crop_width=arguments.crop_width,
        event_crops=arguments.event_crops,
        batch_size=arguments.batch_size,
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        width_multiplier=arguments.width_multiplier,
        channels=tuple(arguments.channels),
    )
    device = training.resolve_device(arguments.device)
    torch.set_num_threads(arguments.threads)

    def make(first_line: int, count: int) -> training_data.Examples:
        return training_data.make_examples(
            recipe.seed, first_line, count, recipe.height, recipe.width, recipe.channels, device, arguments.threads
        )

    started = time.monotonic()
    training_set = make(training_data.TRAINING_FIRST_LINE, recipe.samples)
    made = time.monotonic()
    network = training.train(
        recipe, training_set, arguments.checkpoint, arguments.checkpoint_steps, arguments.memory_layout
    )
    trained = time.monotonic()
    checkpoint.save_half(network, arguments.output)
    evaluation = training.evaluate_checkpoint(
        arguments.output, recipe, make(training_data.HELD_OUT_FIRST_LINE, arguments.evaluation_samples)
    )
    evaluation["seconds"] = {
        "samples": made - started,
        "training": trained - made,
        "evaluation": time.monotonic() - trained,
    }
    files.write_json(arguments.evaluation, evaluation)
    arguments.checkpoint.unlink()


if __name__ == "__main__":
    cli.run(main)
