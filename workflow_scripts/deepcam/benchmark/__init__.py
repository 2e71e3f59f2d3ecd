"""One benchmark job: its ranks, the page cache, readers and the timed loop."""

import os

from deepcam.benchmark import thread_binding

# NumPy's OpenBLAS starts a thread for each core when it is loaded. Each of them spins for a while, which takes 0.1 s of
# CPU time on two cores, and nothing here multiplies matrices with NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

thread_binding.clear()
