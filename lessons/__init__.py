"""The shared package of The GPT Ladder: one topic per module, each built in one lesson.

Import what you need from its module, as in `from lessons.attention import Head`, and import it
before torch: on a busy machine, training would else nearly stand still. This file imports no
module of ours, so `import lessons` is instant.
"""

import os

# PyTorch's threads wait for each other by spinning. Where another program has taken one's core,
# the rest then spin for milliseconds at every operation; a short spin and a sleep cost next to
# nothing on a quiet machine. data/experiments/busy.csv has the numbers. The OpenMP library reads
# this once, when torch loads it: on Linux GNU's, on macOS and Windows LLVM's or Intel's.
if "OMP_WAIT_POLICY" not in os.environ:  # else somebody has made a choice
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
