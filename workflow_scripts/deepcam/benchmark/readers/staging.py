"""From host memory to the device: one asynchronous copy a batch, ordered by events, overlapped with what runs there."""

from __future__ import annotations

from collections.abc import Iterator

from deepcam.benchmark.readers import Batch, Options

SLOTS = 2
"""Batches on the device: one in use while the next is copied."""


def pinned(options: Options) -> bool:
    """Whether host batches must lie in page-locked memory, from which a GPU copies without a detour."""
    return options.device != "cpu"


def staged(batches: Iterator[Batch], options: Options) -> Iterator[Batch]:
    """The host batches of a reader, on its device; each host batch is given back as soon as it is copied."""
    return batches if options.device == "cpu" else _upload(batches, options)


def _upload(batches: Iterator[Batch], options: Options) -> Iterator[Batch]:
    import torch

    shape = (options.batch_size, *options.sample_shape)
    slots = [torch.empty(shape, device=options.device) for _ in range(SLOTS)]
    copied = [torch.cuda.Event(blocking=True) for _ in range(SLOTS)]
    consumed = [torch.cuda.Event() for _ in range(SLOTS)]
    stream = torch.cuda.Stream(options.device)
    # The slots' memory may still be in use by what was queued before.
    stream.wait_stream(torch.cuda.current_stream(options.device))
    for i, batch in enumerate(batches):
        slot = i % SLOTS
        array = slots[slot][: len(batch.files)]
        stream.wait_event(consumed[slot])
        with torch.cuda.stream(stream):
            array.copy_(torch.from_numpy(batch.array), non_blocking=True)
            copied[slot].record()
        current = torch.cuda.current_stream(options.device)
        current.wait_event(copied[slot])
        yield Batch(batch.files, array)
        consumed[slot].record(current)
        # The host batch may be overwritten once the next one is asked for.
        copied[slot].synchronize()
