"""Tests run in several processes, so each keeps to one thread: PyTorch takes the number when it is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
