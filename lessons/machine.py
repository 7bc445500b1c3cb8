"""Plumbing · cores, memory and disk of this machine, in rows of the doctor's table.

Standard library only, in the syntax of Python 3.8, like the doctor itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

GIB = 2**30


def machine_rows(root: Path, python: str, has_torch: bool) -> Iterator[tuple[str, str, str]]:
    """Cores, memory and disk, as far as this process may use them.

    The disk is that of `root`; `python` is what to type for this Python.
    """
    mine = getattr(os, "sched_getaffinity", None)  # only Linux has it
    cores = len(mine(0)) if mine else os.cpu_count() or 1
    # The README's minutes were measured with two cores.
    yield "cores", str(cores), "ok" if cores > 1 else "note: slower than README.md says"
    try:
        import psutil

        memory = psutil.virtual_memory().total
    except ImportError:
        known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {})  # Windows has none
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else 0
    # A kernel with torch, JupyterLab and a browser share it; when it is full, all of them crawl.
    note = "note: close other programs" if 0 < memory < 4 * GIB else "ok"
    yield "memory", f"{memory / GIB:.1f} GiB" if memory else "unknown", note
    free = shutil.disk_usage(root).free
    # A full disk cuts checkpoints short; on Linux pip's torch brings gigabytes of CUDA along.
    full = free < (1 if has_torch else 10 if sys.platform == "linux" else 2) * GIB
    fix = f"FIX: free some space, as with {python} -m pip cache purge"
    yield "disk", f"{free / GIB:.1f} GiB free", fix if full else "ok"
