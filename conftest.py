"""Tests and notebooks run on the CPU, also where there is a GPU: in minutes, alike everywhere.

With one thread each, for two run side by side: threads that wait for a core cost far more than
they gain. What a notebook prints is compared as its cells' tags say (lessons/course/outputs.py).
"""

import os

from lessons.corpus import DATA_DIR, holds_tiny_shakespeare
from lessons.course.outputs import as_before, kind_of_print

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Let nbval compare what depends on the text if that is Tiny Shakespeare, losses nearly."""
    known = holds_tiny_shakespeare(DATA_DIR / "input.txt")
    for item in items:
        if not hasattr(item, "cell"):  # no cell of a notebook
            continue
        kinds = kind_of_print(item.cell)
        if known and {"shakespeare", "losses"} & set(kinds):
            item.options["check"] = True
        if "losses" in kinds:
            compare = item.compare_outputs
            item.compare_outputs = lambda new, old, compare=compare: compare(
                as_before(new, old), old
            )
