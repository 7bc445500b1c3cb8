"""Plumbing · what a run says while it trains: the bar, and a loss that is no longer a number."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lessons.at_scale.distributed import rank
from lessons.at_scale.state import TrainingState
from lessons.errors import BadInput
from lessons.optimization import learning_rate_at

import torch
from tqdm import tqdm

# To read a loss, the CPU must wait for the GPU: once every few steps is enough.
CHECK_INTERVAL = 10
REDRAW_SECONDS = 5


class Progress:
    """The bar of a run; stops it when a loss is no longer a number.

    It keeps the losses of the last steps, which have not been checked yet. `saved` is whether there
    is a folder with checkpoints; `bar` replaces the progress bar.
    """

    def __init__(self, state: TrainingState, saved: bool, bar: tqdm | None = None):
        self.state, self.saved = state, saved
        if bar is None:
            # Not `disable=False` for rank 0: that would overrule the variable TQDM_DISABLE.
            silent = {"disable": True} if rank() > 0 else {}
            bar = tqdm(total=state.config.max_iters, initial=state.step, unit="step", ncols=100,
                       **silent)  # fmt: skip
        self.bar = bar
        self.unchecked: list[torch.Tensor] = []
        self.last_check = time.perf_counter()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """In this block the bar is on the screen, and its clock goes on also during a long step."""
        ended = threading.Event()
        clock = threading.Thread(target=self._redraw, args=(ended,), daemon=True)
        with self.bar:
            clock.start()
            try:
                yield
            finally:
                ended.set()
                clock.join()

    def _redraw(self, ended: threading.Event) -> None:
        while not ended.wait(REDRAW_SECONDS):
            self.bar.refresh()

    def start_step(self) -> None:
        """Call this before each step, so that evaluations do not count as time of the steps."""
        if not self.unchecked:
            self.last_check = time.perf_counter()

    def end_step(self, loss: torch.Tensor) -> None:
        """Keep the loss of the step just taken, a scalar."""
        self.unchecked.append(loss)
        self.bar.update()

    def check(self, now: bool) -> None:
        """Check the losses kept, and show the last: `now`, or once there are CHECK_INTERVAL.

        Raises BadInput if one of them is infinite or not a number.
        """
        if not (self.unchecked and (now or len(self.unchecked) == CHECK_INTERVAL)):
            return
        losses = torch.stack(self.unchecked).tolist()
        seconds = time.perf_counter() - self.last_check
        for step, loss in enumerate(losses, self.state.step - len(losses)):
            self.check_number(loss, step)
        n_tokens = len(losses) * self.state.config.batch_size * self.state.model.block_size
        val_loss = self.state.rows[-1][2]
        self.bar.set_postfix_str(
            f"loss={losses[-1]:.3f}, val_loss={val_loss:.3f}, {n_tokens / seconds:,.0f} tokens/s",
            refresh=False,
        )
        self.unchecked.clear()

    def show_losses(self, train_loss: float, val_loss: float) -> None:
        """Show an evaluation; raises BadInput if val_loss is infinite or not a number."""
        self.check_number(val_loss, self.state.step)
        self.bar.set_postfix_str(f"train_loss={train_loss:.3f}, val_loss={val_loss:.3f}")

    def check_number(self, loss: float, step: int) -> None:
        """Raises BadInput if the loss of this step is infinite or not a number."""
        if math.isfinite(loss):
            return
        kept = (
            "the last good checkpoint is kept; continue from it with --resume and a lower "
            "--learning-rate, or start again with a lower one."
        )
        raise BadInput(
            f"The loss became {loss} at step {step}, with a learning rate of "
            f"{learning_rate_at(step, self.state.config):.2g}: "
            f"{kept if self.saved else 'try a lower one.'}"
        )
