"""Plumbing · all that a run must keep in order to resume as if it had never stopped."""

import time

from lessons.at_scale.distributed import gather, rank
from lessons.optimization import make_optimizer
from lessons.presets import TrainingConfig

import pandas as pd
import torch
import torch.nn as nn


class TrainingState:
    """Weights, optimiser, random states and progress of one run, in this process."""

    def __init__(self, model: nn.Module, config: TrainingConfig, dtype: torch.dtype, seed: int):
        self.device = next(model.parameters()).device
        self.model, self.config, self.dtype, self.seed = model, config, dtype, seed
        self.optimizer = make_optimizer(model, config)
        # float16 has few small numbers: losses are scaled up so that gradients do not vanish. In
        # any other dtype the scaler does nothing.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self.batch_rng = torch.Generator().manual_seed(seed)  # the same in every process
        torch.manual_seed(seed + rank())  # for dropout, which differs from process to process
        self.step = 0  # how many have been taken
        self.rows: list[tuple] = []  # (step, train_loss, val_loss, seconds) of each evaluation
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, without the time between a stop and a resume."""
        return time.perf_counter() - self._begun

    def losses(self) -> pd.DataFrame:
        """The evaluations so far: step, train_loss, val_loss, seconds."""
        return pd.DataFrame(self.rows, columns=["step", "train_loss", "val_loss", "seconds"])

    def state_dict(self) -> dict:
        """Tensors and plain values, with the random states of all processes.

        All of them must call this, and each waits here for the others.
        """
        rng = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state(self.device)
        parts = {name: getattr(self, name) for name in ("model", "optimizer", "scaler")}
        return {
            **{name: part.state_dict() for name, part in parts.items()},
            "batch_rng": self.batch_rng.get_state(),
            "rng": gather(rng),
            "step": self.step,
            "rows": self.rows,
            "seconds": self.seconds,
        }

    def load_state_dict(self, saved: dict) -> None:
        """Restore what `state_dict` returned."""
        self.model.load_state_dict(saved["model"])
        # The means are the run's. The settings are this optimizer's own: torch's versions have
        # others, `fused` is the device's, and the rate is set anew at each step.
        settings = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict(saved["optimizer"] | {"param_groups": settings})
        if saved["scaler"]:  # empty if the run was not in float16 then
            self.scaler.load_state_dict(saved["scaler"])
        self.batch_rng.set_state(saved["batch_rng"])
        # If there are more processes now than then, the new ones keep the state they began with.
        if rank() < len(saved["rng"]):
            rng = saved["rng"][rank()]
            torch.set_rng_state(rng["cpu"])
            if "cuda" in rng and self.device.type == "cuda":
                torch.cuda.set_rng_state(rng["cuda"], self.device)
        self.step, self.rows = saved["step"], saved["rows"]
        self._begun = time.perf_counter() - saved["seconds"]
