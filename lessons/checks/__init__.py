"""A check for each exercise: it takes the answer, and says what is wrong with it.

`checks.perplexity(perplexity)` returns a Verdict. An experiment runs as long as it needs to, in
`checks.attempt`; its check then looks at the table.
"""

from lessons.checks.attention import head_by_loops, scale_experiment
from lessons.checks.averaging import average_by_cumsum, band_shares, context_experiment
from lessons.checks.bigram import perplexity, smoothing_experiment
from lessons.checks.copying import longest_copy
from lessons.checks.counting import hand_over
from lessons.checks.feed_forward import rate_experiment, relu_unit
from lessons.checks.gated import GatedFeedForward
from lessons.checks.gpt import gpt2_parameters, rescue_experiment, weight_after
from lessons.checks.grouped import attend_in_groups
from lessons.checks.likeliest import likeliest_next
from lessons.checks.multi_head import head_sizes, silencing_experiment
from lessons.checks.normalization import layer_norm_row, warmup_experiment
from lessons.checks.one_query import one_query
from lessons.checks.orders import order_experiment
from lessons.checks.own_part import part_experiment
from lessons.checks.residual import blocks_until_lost, depth_experiment
from lessons.checks.rms_norm import RMSNorm
from lessons.checks.split_heads import attention_without_einops
from lessons.checks.stochastic_depth import StochasticDepthBlock
from lessons.checks.turning import turn_pair
from lessons.checks.verdict import Verdict, attempt

__all__ = [
    "Verdict", "attempt",
    "likeliest_next", "perplexity", "smoothing_experiment",
    "band_shares", "average_by_cumsum", "context_experiment",
    "one_query", "head_by_loops", "scale_experiment",
    "head_sizes", "attention_without_einops", "silencing_experiment",
    "relu_unit", "GatedFeedForward", "rate_experiment",
    "blocks_until_lost", "StochasticDepthBlock", "depth_experiment",
    "layer_norm_row", "RMSNorm", "warmup_experiment",
    "gpt2_parameters", "weight_after", "rescue_experiment",
    "hand_over", "longest_copy", "order_experiment",
    "turn_pair", "attend_in_groups", "part_experiment",
]  # fmt: skip
