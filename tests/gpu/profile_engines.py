"""Rates of a device's engines beside eager PyTorch in its default layout, and where the time of the fastest goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from deepcam import climate
from deepcam.model import checkpoint, engine, network
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

ROUNDS = 5
CALLS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint")
    parser.add_argument("--width-multiplier", type=float, required=True)
    parser.add_argument("--engines", type=Path, nargs="+", required=True, help="built engines")
    parser.add_argument("--device", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    engines = {path.parent.name: engine.load(path, arguments.device) for path in arguments.engines}
    first = next(iter(engines.values()))
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    plain = network.DeepLabV3Plus(width_multiplier=arguments.width_multiplier)
    checkpoint.load_into(plain, checkpoint.load_state(arguments.model))
    plain = plain.eval().to(device, dtype)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain(fields_of(1, first.shape, device, dtype))
    flop = counter.get_total_flops()
    lines = [f"{flop / 1e12:.3f} TFLOP a sample", *(limits(device, dtype) if device.type == "cuda" else [])]
    for size in sorted({1, first.max_batch}):
        batch = torch.rand(size, *first.shape, device=device)
        fields = fields_of(size, first.shape, device, dtype)
        calls: dict[str, Callable[[], object]] = {
            f"network alone, {dtype}, default layout": lambda fields=fields: plain(fields),
            **{name: lambda run=run, batch=batch: run(batch) for name, run in engines.items()},
        }
        rates = {name: size / median for name, median in medians(calls, device).items()}
        lines += [f"batch {size}: {r:9.2f} samples/s {r * flop / 1e12:7.1f} TFLOP/s  {n}" for n, r in rates.items()]
        fastest = max(engines, key=rates.__getitem__)
        with profile(
            activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA][: 2 if device.type == "cuda" else 1]
        ) as traced:
            seconds(calls[fastest], device)
        key = f"self_{device.type}_time_total"
        table = traced.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=80)
        lines += ["", f"{fastest}, {CALLS} calls with batch {size}:", table, ""]
    arguments.output.write_text("\n".join(lines))
    print("\n".join(line for line in lines if line.startswith(("batch", "largest", "copy"))))


def limits(device: torch.device, dtype: torch.dtype) -> list[str]:
    """What the machine allows at most: a matrix product, copies within the device's memory, and copies to it."""
    left, right = (torch.randn(8192, 8192, device=device, dtype=dtype) for _ in range(2))
    there, here = torch.rand(2**28, device=device), torch.rand(2**28).pin_memory()
    also_there = torch.empty_like(there)
    calls: dict[str, Callable[[], object]] = {
        "product": lambda: left @ right,
        "within": lambda: also_there.copy_(there),
        "to": lambda: there.copy_(here, non_blocking=True),
    }
    took = medians(calls, device)
    return [
        f"largest matrix product, {dtype}: {2 * 8192**3 / took['product'] / 1e12:.0f} TFLOP/s",
        f"copy in the device's memory, read and written: {2 * there.nbytes / took['within'] / 1e9:.0f} GB/s",
        f"copy from page-locked memory of the host: {there.nbytes / took['to'] / 1e9:.1f} GB/s",
    ]


def medians(calls: dict[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    """Median seconds of each call, in turn, so that drift hits all alike."""
    for call in calls.values():
        seconds(call, device)  # kernels are chosen, graphs captured
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(seconds(call, device))
    return {name: sorted(times)[len(times) // 2] for name, times in found.items()}


def fields_of(size: int, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Random normalised fields, as the network takes them."""
    return torch.rand(size, len(climate.MODEL_CHANNELS), *shape[:2], device=device, dtype=dtype)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Mean seconds of CALLS calls, until the device is done."""
    with torch.inference_mode():
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / CALLS


if __name__ == "__main__":
    main()
