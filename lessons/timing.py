"""Plumbing · how long a call takes."""

import statistics
import time
from collections.abc import Callable


def median_ms(call: Callable[[], object], repeats: int = 15) -> float:
    """The median time of `repeats` calls, in milliseconds, after one that is not counted."""
    call()  # the first one pays for what later ones find ready
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)
