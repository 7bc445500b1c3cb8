"""Tests and notebooks run on the CPU, also where there is a GPU: in minutes, alike everywhere.

With one thread each, for two run side by side: threads that wait for a core cost far more than
they gain.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")
