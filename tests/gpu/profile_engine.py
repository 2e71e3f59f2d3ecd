"""Where an engine's time goes: its rate beside eager PyTorch's in the default layout, and the costliest kernels."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from deepcam import checkpoint, climate, engine, network
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

RUNS = 5
MIN_SECONDS = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint")
    parser.add_argument("--width-multiplier", type=float, required=True)
    parser.add_argument("--engine", type=Path, required=True, help="compiled engine")
    parser.add_argument("--device", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    loaded = engine.load(arguments.engine, arguments.device)
    shape, most = loaded.fingerprint["input_shape"], loaded.fingerprint["max_batch"]
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    plain = network.DeepLabV3Plus(width_multiplier=arguments.width_multiplier)
    checkpoint.load_into(plain, checkpoint.load_state(arguments.model))
    plain = plain.eval().to(device, dtype)
    with FlopCounterMode(display=False) as flops, torch.inference_mode():
        plain(fields_of(1, shape, device, dtype))
    lines = [f"{flops.get_total_flops() / 1e12:.3f} TFLOP a sample", ""]
    for size in sorted({1, most}):
        batch = torch.rand(size, *shape, device=device)
        fields = fields_of(size, shape, device, dtype)
        calls: dict[str, Callable[[], object]] = {
            f"eager {dtype}, default layout, network alone": lambda fields=fields: plain(fields),
            f"engine {arguments.engine.parent.name}": lambda batch=batch: loaded(batch),
        }
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(RUNS):  # in turn, so that drift hits both
            for name, call in calls.items():
                rates[name].append(size / seconds(call, device))
        for name, found in rates.items():
            median = sorted(found)[len(found) // 2]
            tera = median * flops.get_total_flops() / 1e12
            lines.append(f"batch {size}: {median:9.2f} samples/s {tera:8.1f} TFLOP/s  {name}")
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        with profile(activities=activities) as profiler:
            for _ in range(3):
                loaded(batch)
            synchronize(device)
        key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        lines += ["", profiler.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=90), ""]
    arguments.output.write_text("\n".join(lines))
    print("\n".join(line for line in lines if line.startswith("batch")))


def fields_of(size: int, shape: list[int], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Random normalised fields, as the network takes them."""
    return torch.rand(size, len(climate.MODEL_CHANNELS), *shape[:2], device=device, dtype=dtype)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Mean seconds of a call, over at least MIN_SECONDS."""
    with torch.inference_mode():
        call()
        synchronize(device)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < MIN_SECONDS:
            for _ in range(4):
                call()
            synchronize(device)
            count += 4
        return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
