"""Training of the network on synthetic samples: reproducible from its recipe, resumable after any death."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepcam import files
from deepcam.climate import CLASSES
from deepcam.errors import InputError
from deepcam.model import checkpoint, training_data
from deepcam.model.engine import artefact
from deepcam.model.engine.graph import InferenceGraph
from deepcam.model.engine_spec import resolve_precision
from deepcam.model.network import STRIDE, DeepLabV3Plus
from deepcam.model.training_data import Examples
from deepcam.record import iou

log = logging.getLogger(__name__)

WARM_UP = 0.05
"""Part of the steps over which the learning rate rises; then it falls to 0 along a cosine."""

FROZEN = 0.3
"""Last part of the steps, with batch norm fixed at what whole samples show it. Before, it normalises with its own small
batch, which misleads most where it sees one value a sample: in the global branch."""

CALIBRATION_BATCHES = 16
CALIBRATION_BATCH_SIZE = 2
"""Whole samples from which batch norm takes its final statistics; it refuses a batch of 1."""

WEIGHT_DECAY = 0.01

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
"""Of the network's weights and activations: it decides the speed, and results only by rounding."""

LOG_SECONDS = 10.0

EVALUATION_BATCH_SIZE = 2

BENCHMARK_SAMPLES = 8
"""Samples of the default benchmark: held-out samples are also judged with the ranges of datasets of this size."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides the weights, but for the machine's arithmetic. Raises InputError for what cannot be trained.

    Height and width are a sample's, crops have all rows. Learning rate is the highest of the schedule.
    """

    seed: int
    samples: int
    height: int
    width: int
    crop_width: int
    batch_size: int
    steps: int
    learning_rate: float
    width_multiplier: float
    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        for field, least in (("samples", 1), ("batch_size", 2), ("steps", 1), ("height", 32), ("width", 32)):
            if getattr(self, field) < least:
                raise InputError(f"train.{field} is {getattr(self, field)}; it must be at least {least}")
        if self.height % STRIDE or self.crop_width % STRIDE or not STRIDE <= self.crop_width <= self.width:
            raise InputError(
                f"crops of {self.height} x {self.crop_width} from samples {self.width} wide: both must be multiples "
                f"of {STRIDE}, and train.crop_width at most the width"
            )


def resolve_device(name: str) -> torch.device:
    """The device called auto (the first GPU, else the CPU), cpu or cuda:N; InputError if there is no such GPU."""
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    artefact.fingerprint_fields("eager", name)
    return torch.device(name)


def loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy plus soft Dice loss of the events, from logits (N, 3, H, W) and class numbers (N, H, W).

    Dice (Milletari and others 2016, equation 2, over the whole batch) weighs both events alike, however few their
    pixels are; cross entropy alone would let the background win.
    """
    logits = logits.float()
    likely = logits.softmax(dim=1)[:, 1:]
    true = torch.stack([truth == event for event in range(1, len(CLASSES))], dim=1).float()
    overlap = (likely * true).sum(dim=(0, 2, 3))
    total = likely.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3))
    return functional.cross_entropy(logits, truth) + (1 - (2 * overlap + 1) / (total + 1)).mean()


def learning_rate(step: int, recipe: Recipe) -> float:
    """The learning rate of a step, counted from 0: a linear rise, then half a cosine."""
    done = (step + 1) / recipe.steps
    if done < WARM_UP:
        return recipe.learning_rate * done / WARM_UP
    return recipe.learning_rate * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def train(
    recipe: Recipe,
    training_set: Examples,
    checkpoint_path: Path,
    checkpoint_steps: int,
    layout: str = "channels_last",
) -> DeepLabV3Plus:
    """Train on the device of `training_set` and return the network, in evaluation mode.

    Progress is kept in `checkpoint_path` every `checkpoint_steps` steps and at the end; what is there is continued.
    Every step draws from its own seed, so a run that was cut off ends in the same weights. `layout` is of LAYOUTS.
    Raises InputError for a checkpoint of another recipe, or a loss that is not finite.
    """
    device = training_set.fields.device
    torch.backends.cudnn.benchmark = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = DeepLabV3Plus(len(recipe.channels), len(CLASSES), recipe.width_multiplier)
    network.to(device, memory_format=LAYOUTS[layout])
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    first = _resume(checkpoint_path, recipe, network, optimizer)
    frozen = round(recipe.steps * (1 - FROZEN))
    autocast = _autocast(device)
    started = shown = time.monotonic()
    for step in range(first, recipe.steps):
        network.train(step < frozen)
        if step == frozen:
            calibrate_batch_norm(network, recipe, training_set)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe)
        rng = np.random.default_rng([recipe.seed, step])
        fields, truth = training_data.draw_batch(training_set, rng, recipe.batch_size, recipe.crop_width)
        with autocast:
            logits = network(fields.contiguous(memory_format=LAYOUTS[layout]))
        value = loss(logits, truth)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        done = step + 1
        if step == first:  # it also loads and tunes kernels, so the rate counts from here
            started = shown = time.monotonic()
        elif time.monotonic() - shown > LOG_SECONDS or done == recipe.steps:
            _show(done, recipe.steps, value.item(), (step - first) / ((shown := time.monotonic()) - started))
        if done % checkpoint_steps == 0 or done == recipe.steps:
            _save(checkpoint_path, recipe, done, network, optimizer)
    return network.eval()


def _show(step: int, steps: int, value: float, rate: float) -> None:
    if not math.isfinite(value):
        raise InputError(f"step {step}: the loss is {value}; lower train.learning_rate")
    left = (steps - step) / rate / 60
    log.info("step %d of %d: loss %.4f, %.2f steps/s, %.1f minutes left", step, steps, value, rate, left)


def calibrate_batch_norm(network: nn.Module, recipe: Recipe, training_set: Examples) -> None:
    """Set batch norm's statistics to the mean over some batches of whole samples; leave evaluation mode on."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, usual = None, norm.momentum
    network.train()
    with torch.no_grad(), _autocast(training_set.fields.device):
        for number in range(CALIBRATION_BATCHES):
            rng = np.random.default_rng([recipe.seed, recipe.steps, number])
            network(training_data.draw_batch(training_set, rng, CALIBRATION_BATCH_SIZE, recipe.width)[0])
    for norm in norms:
        norm.momentum = usual
    network.eval()


def evaluate(network: nn.Module, held_out: Examples, precision: str, dataset_samples: int) -> dict[str, Any]:
    """IoU over `held_out`, pooled over all pixels, through the graph that engines are made of.

    Samples are normalised with the range of datasets of `dataset_samples` each. The network is cast to `precision`.
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
    """What evaluation.json holds: the saved weights on the held-out samples, in fp32 and in the engines' precision."""
    device = held_out.fields.device
    network = DeepLabV3Plus(len(recipe.channels), len(CLASSES), recipe.width_multiplier)
    checkpoint.load_into(network, checkpoint.load_state(model))
    fast = resolve_precision("auto", str(device))
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
    """bfloat16 where the device multiplies it faster, else float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = resolve_precision("auto", "cpu") == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _save(path: Path, recipe: Recipe, step: int, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    # An open file, not a name: torch.save would put the temporary name inside the archive.
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
    """Load a checkpoint if there is one; return the step to go on with."""
    if not path.exists():
        return 0
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        step = saved["step"]
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error!r}); delete it to start anew") from None
    for field, value in dataclasses.asdict(recipe).items():
        if saved["recipe"].get(field) != value:
            raise InputError(
                f"{path}: trained with {field} {saved['recipe'].get(field)}, the recipe has {value}; delete it to "
                "start anew, or restore the recipe"
            )
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    log.info("%s: goes on after step %d", path, step)
    return step
