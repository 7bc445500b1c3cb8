"""The shared package of The GPT Ladder: one topic per module, each built in one lesson.

Import what you need from its module, as in `from lessons.attention import Head`, and import it
before torch: on a busy machine, training would else nearly stand still. This file imports no
module of ours, so `import lessons` is instant.
"""

import os

# PyTorch's threads wait for each other by spinning. Where another program has taken one's core,
# the rest then spin for milliseconds at every operation; a short spin and a sleep cost next to
# nothing on a quiet machine. data/experiments/busy.csv has the numbers. GNU's OpenMP library, which
# torch has on Linux, reads this once, when torch loads it. LLVM's, on macOS and Windows, knows no
# spin so short: it keeps its default there.
if "OMP_WAIT_POLICY" not in os.environ:  # else somebody has made a choice
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
