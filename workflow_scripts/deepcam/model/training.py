"""Train the network on synthetic samples, reproducibly from a recipe and resumable after an interruption."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from deepcam import files
from deepcam.climate import CLASSES
from deepcam.errors import InputError
from deepcam.model import checkpoint, depthwise, training_data
from deepcam.model.device import torch_device
from deepcam.model.engine import artefact
from deepcam.model.engine.graph import InferenceGraph
from deepcam.model.network import STRIDE, DeepLabV3Plus, NetworkSpec
from deepcam.model.training_data import Examples
from deepcam.model.training_precision import training_precision
from deepcam.record import iou

log = logging.getLogger(__name__)

WARMUP_FRACTION = 0.05
"""Fraction of the steps over which the learning rate rises. Afterwards it falls to 0 along a cosine."""

FROZEN_FRACTION = 0.3
"""Last fraction of the steps, in which batch norm uses fixed statistics of whole samples. Before that it normalises
with the statistics of small batches, which are poor in the global branch, where a sample has a single value."""

CALIBRATION_BATCHES = 16
CALIBRATION_BATCH_SIZE = 2
"""Batches of whole samples from which batch norm takes its fixed statistics. It cannot use a batch size of 1."""

WEIGHT_DECAY = 0.01

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
"""Memory layouts of weights and activations. They affect speed, and results only by rounding."""

LOG_SECONDS = 10.0

EVALUATION_BATCH_SIZE = 2

BENCHMARK_SAMPLES = 8
"""Samples in the default benchmark. Held-out samples are also evaluated with the ranges of datasets of this size."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights, apart from the machine's arithmetic.

    `height` and `width` are those of a sample; crops have all rows. `learning_rate` is the highest of the schedule.
    Raises InputError for values that cannot be trained with.
    """

    seed: int
    samples: int
    height: int
    width: int
    crop_width: int
    event_crops: float
    batch_size: int
    steps: int
    learning_rate: float
    width_multiplier: float
    channels: tuple[int, ...]

    @property
    def network(self) -> NetworkSpec:
        """The network that is trained, with random weights."""
        return NetworkSpec(self.width_multiplier, self.channels)

    def __post_init__(self) -> None:
        smallest = {"seed": 0, "samples": 1, "batch_size": 2, "steps": 1, "height": 32, "width": 32}
        for field, least in smallest.items():
            if getattr(self, field) < least:
                raise InputError(f"train.{field} is {getattr(self, field)}; it must be at least {least}")
        if not 0 <= self.event_crops <= 1:
            raise InputError(f"train.event_crops is {self.event_crops}; it must be a number from 0 to 1")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"train.learning_rate is {self.learning_rate}; it must be a number over 0")
        if self.height % STRIDE or self.crop_width % STRIDE or not STRIDE <= self.crop_width <= self.width:
            raise InputError(
                f"crops of {self.height} x {self.crop_width} from samples {self.width} wide: height and width of crops "
                f"must be multiples of {STRIDE}, and train.crop_width at most the width of a sample"
            )


def resolve_device(name: str) -> torch.device:
    """Return the device auto (the first GPU, else the CPU), cpu or cuda:N. Raises InputError for a missing GPU."""
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    return torch_device(name)


def loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return cross entropy plus the soft Dice loss of the events, from logits (N, 3, H, W) and classes (N, H, W).

    The Dice loss (Milletari et al. 2016, equation 2, over the whole batch) weighs both events equally, however few
    pixels they have. With cross entropy alone the background would dominate.
    """
    logits = logits.float()
    likely = logits.softmax(dim=1)[:, 1:]
    true = torch.stack([truth == event for event in range(1, len(CLASSES))], dim=1).float()
    overlap = (likely * true).sum(dim=(0, 2, 3))
    total = likely.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3))
    return functional.cross_entropy(logits, truth) + (1 - (2 * overlap + 1) / (total + 1)).mean()


def learning_rate(step: int, recipe: Recipe) -> float:
    """Return the learning rate of a step, counted from 0: a linear rise, then half a cosine."""
    done = (step + 1) / recipe.steps
    if done < WARMUP_FRACTION:
        return recipe.learning_rate * done / WARMUP_FRACTION
    return recipe.learning_rate * (1 + math.cos(math.pi * (done - WARMUP_FRACTION) / (1 - WARMUP_FRACTION))) / 2


def train(
    recipe: Recipe,
    training_set: Examples,
    checkpoint_path: Path,
    checkpoint_steps: int,
    layout: str = "channels_last",
) -> DeepLabV3Plus:
    """Train on the device of `training_set` and return the network, in evaluation mode.

    Progress is saved to `checkpoint_path` every `checkpoint_steps` steps and at the end. If the file exists, training
    continues from it. Every step has its own seed, so an interrupted run ends with the same weights. `layout` is a key
    of LAYOUTS. Raises InputError for a checkpoint of another recipe, or a loss that is not finite.
    """
    device = training_set.fields.device
    torch.backends.cudnn.benchmark = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = recipe.network.create()
    network.to(device, memory_format=LAYOUTS[layout])
    if device.type == "cpu":
        depthwise.use_plain_convolutions(network)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    first = _resume(checkpoint_path, recipe, network, optimizer)
    frozen = round(recipe.steps * (1 - FROZEN_FRACTION))
    autocast = _autocast(device)
    started = shown = time.monotonic()
    for step in range(first, recipe.steps):
        network.train(step < frozen)
        if step == frozen:
            calibrate_batch_norm(network, recipe, training_set)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe)
        rng = np.random.default_rng([recipe.seed, step])
        fields, truth = training_data.draw_batch(
            training_set, rng, recipe.batch_size, recipe.crop_width, recipe.event_crops
        )
        with autocast:
            logits = network(fields.contiguous(memory_format=LAYOUTS[layout]))
        value = loss(logits, truth)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        done = step + 1
        if step == first:  # the rate is measured after this step, which also loads and tunes kernels
            started = shown = time.monotonic()
        elif time.monotonic() - shown > LOG_SECONDS or done == recipe.steps:
            shown = time.monotonic()
            _log_progress(done, recipe.steps, value.item(), (step - first) / (shown - started))
        if done % checkpoint_steps == 0 or done == recipe.steps:
            _save(checkpoint_path, recipe, done, network, optimizer)
    return network.eval()


def _log_progress(step: int, steps: int, value: float, rate: float) -> None:
    if not math.isfinite(value):
        raise InputError(f"step {step}: the loss is {value}; lower train.learning_rate")
    left = (steps - step) / rate / 60
    log.info("step %d of %d: loss %.4f, %.2f steps/s, %.1f minutes left", step, steps, value, rate, left)


def calibrate_batch_norm(network: nn.Module, recipe: Recipe, training_set: Examples) -> None:
    """Set the statistics of batch norm to the mean over batches of whole samples. Leaves the network in evaluation."""
    seeds = ([recipe.seed, recipe.steps, number] for number in range(CALIBRATION_BATCHES))
    batches = (
        training_data.draw_batch(training_set, np.random.default_rng(seed), CALIBRATION_BATCH_SIZE, recipe.width, 0.0)
        for seed in seeds
    )
    network.eval()
    with _autocast(training_set.fields.device):
        update_bn(batches, network)


def evaluate(network: nn.Module, held_out: Examples, precision: str, dataset_samples: int) -> dict[str, Any]:
    """Return the IoU over all pixels of `held_out`, computed by the graph that engines are built from.

    The samples are divided into datasets of `dataset_samples`, and each is normalised with the ranges of its dataset.
    The network is cast to `precision`, in place.
    """
    device = held_out.fields.device
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for start in range(0, len(held_out), dataset_samples):
        dataset = slice(start, start + dataset_samples)
        graph = InferenceGraph(
            network,
            held_out.minimum[dataset].min(axis=0).tolist(),
            held_out.maximum[dataset].max(axis=0).tolist(),
            artefact.DTYPES[precision],
            tuple(range(len(held_out.channels))),
        ).to(device)
        pairs = zip(
            held_out.fields[dataset].split(EVALUATION_BATCH_SIZE),
            held_out.labels[dataset].split(EVALUATION_BATCH_SIZE),
            strict=True,
        )
        for fields, truth in pairs:
            with torch.inference_mode():
                mask = graph(fields)
            counts += iou.confusion(mask.cpu().numpy(), truth.cpu().numpy())
    return {
        "precision": precision,
        "dataset_samples": dataset_samples,
        "mean_iou": iou.mean_iou(counts),
        "iou": dict(zip(CLASSES, iou.iou(counts).tolist(), strict=True)),
    }


def evaluate_checkpoint(model: Path, recipe: Recipe, held_out: Examples) -> dict[str, Any]:
    """Evaluate a saved checkpoint on held-out samples, in fp32 and in the precision of training.

    Returns the contents of evaluation.json: IoU, the recipe, and the software and hardware.
    """
    device = held_out.fields.device
    network = dataclasses.replace(recipe.network, weights=model).create()
    fast = training_precision(str(device))
    evaluations = [
        evaluate(network, held_out, "fp32", len(held_out)),
        evaluate(network, held_out, fast, len(held_out)),
        evaluate(network, held_out, fast, BENCHMARK_SAMPLES),
    ]
    return {
        "mean_iou": evaluations[0]["mean_iou"],
        "iou": evaluations[0]["iou"],
        "samples": len(held_out),
        "evaluations": evaluations,
        "recipe": dataclasses.asdict(recipe),
        "synthesis_version": training_data.synthesis.VERSION,
        "model_sha256": files.sha256(model),
        "device": artefact.fingerprint_fields("eager", str(device)),
    }


def _autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Return a context of bfloat16 if the device multiplies it faster than float32, otherwise of float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = training_precision("cpu") == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _save(path: Path, recipe: Recipe, step: int, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    # torch.save stores the name of a file that it opens itself, which here is temporary.
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(
            {
                "recipe": dataclasses.asdict(recipe),
                "step": step,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
            },
            file,
        )


def _resume(path: Path, recipe: Recipe, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load a checkpoint, if there is one, and return the step to continue with."""
    if not path.exists():
        return 0
    advice = "delete it to start again"
    saved = checkpoint.read(path, advice)
    try:
        for field, value in dataclasses.asdict(recipe).items():
            if (before := saved["recipe"].get(field)) != value:
                raise InputError(
                    f"{path}: trained with {field} {before}, the recipe has {value}; {advice}, or restore the recipe"
                )
        step = saved["step"]
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no progress of this training ({error!r}); {advice}") from None
    log.info("%s: continues after step %d", path, step)
    return step
