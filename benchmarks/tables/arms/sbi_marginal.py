"""sbi's default estimator of a density without a condition: `MarginalTrainer().append_samples(x).train()`, nothing set.

A neural spline flow of zuko of 5 transforms, Adam at 5e-4, batches of 200, no schedule, an end after 20 epochs without
gain on a tenth of the rows. It has no limit of processor time; here its own test for an end also says yes when the budget is
used, and the weights of its best epoch are taken, as it does itself.
"""

import tempfile

import torch
from sbi.inference import MarginalTrainer
from torch.utils.tensorboard import SummaryWriter

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate
from ._torch import rows_of, tensor


class Limited(MarginalTrainer):
    """sbi's trainer with a clock."""

    def __init__(self, clock: Clock, folder: str) -> None:
        super().__init__(summary_writer=SummaryWriter(folder), show_progress_bars=False)
        self.clock = clock

    def _converged(self, epoch: int, stop_after_epochs: int) -> bool:
        by_itself = super()._converged(epoch, stop_after_epochs)
        if not by_itself and self.clock.left() == 0:
            self._neural_net.load_state_dict(self._best_model_state_dict)
            return True
        return by_itself


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """sbi's flow after its own training."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    clock = Clock(budget)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Limited(clock, folder)
        model = trainer.append_samples(tensor(rows)).train()
    facts = {
        "depth": 5,
        "epochs": trainer.epoch,
        "validation": -float(trainer._best_val_loss),
        "seconds": clock.used(),
    }

    def sample(n: int) -> Rows:
        with torch.no_grad():
            return model.sample((n,)).double().numpy()

    return Estimate(rows_of(model.log_prob), facts, sample)
