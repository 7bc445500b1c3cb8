"""Tests and notebooks run on the CPU, also where there is a GPU: in minutes, alike everywhere."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
