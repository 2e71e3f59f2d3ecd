"""Devices: the stream that computes."""

from __future__ import annotations

import pytest
import torch
from deepcam.benchmark import devices


@pytest.mark.gpu
def test_no_stream_that_a_reader_gets_is_the_one_that_computes() -> None:
    devices.open_device("cuda:0")
    computing = torch.cuda.current_stream().cuda_stream
    assert computing not in {torch.cuda.Stream().cuda_stream for _ in range(100)}
