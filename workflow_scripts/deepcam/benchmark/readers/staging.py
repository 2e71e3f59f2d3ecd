"""Copies of host batches to a GPU: asynchronous, ordered by events, overlapping with the work that runs there."""

from __future__ import annotations

from collections.abc import Iterator

from deepcam.benchmark.readers import Batch, Options

SLOTS = 2
"""Number of batch buffers on the device: one is in use while the next is filled."""


def pinned(options: Options) -> bool:
    """Return whether host batches must be in page-locked memory, from which a GPU can copy directly."""
    return options.device != "cpu"


def staged(batches: Iterator[Batch], options: Options) -> Iterator[Batch]:
    """Yield the host batches of a reader on its device. A host batch may be reused when the next one is requested."""
    return batches if options.device == "cpu" else _upload(batches, options)


def _upload(batches: Iterator[Batch], options: Options) -> Iterator[Batch]:
    import torch

    shape = (options.batch_size, *options.sample_shape)
    slots = [torch.empty(shape, device=options.device) for _ in range(SLOTS)]
    copied = [torch.cuda.Event(blocking=True) for _ in range(SLOTS)]
    consumed = [torch.cuda.Event() for _ in range(SLOTS)]
    stream = torch.cuda.Stream(options.device)
    # Work that was queued earlier may still use the memory of the slots.
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
        # The reader may overwrite the host batch when the next one is requested.
        copied[slot].synchronize()
