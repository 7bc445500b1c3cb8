"""An experiment's table is read in any sensible form, and held against what is on record."""

import decimal
import importlib
import math
import random
from collections.abc import Callable

from lessons import checks
from lessons.checks import again, attention, averaging, bands, on_record, residual
from lessons.checks.tables import read_rows
from lessons.dataset import encode_and_split
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention
from lessons.records import EXPERIMENTS_DIR
from lessons.residual import ResidualBlock
from lessons.training import EVAL_ITERS, estimate_loss, train
from wrong_answers import ANOTHER_TEXT

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
from tqdm import tqdm

TOPICS = ("averaging", "attention", "feed_forward", "residual", "normalization", "gpt", "own_part")
FAIR = {
    wrong.exercise: wrong
    for topic in (*TOPICS, "bigram", "multi_head")
    for wrong in importlib.import_module(f"wrong_answers.{topic}").WRONG
    if wrong.right is not None
}
RECORD = pd.read_csv(EXPERIMENTS_DIR / "exercises.csv")
RECORDED = RECORD.experiment.unique()


@pytest.fixture
def known(monkeypatch):
    """The checks take any text for Tiny Shakespeare, so that none of it must be there."""
    monkeypatch.setattr(bands, "is_tiny_shakespeare", lambda text: True)
    monkeypatch.setattr(again, "EVAL_BATCH_SIZE", 2)  # nothing is run again: it only takes time
    bigram = table_of("context_experiment").val_loss[0]  # which its check counts
    monkeypatch.setattr(averaging, "full_loss", lambda *sizes: bigram)


def table_of(experiment: str, seed: int = 1337) -> pd.DataFrame:
    """What the solution measured with this seed; for lessons 1 and 4 a made-up table."""
    table = FAIR[experiment].right.copy()
    own = RECORD[(RECORD.experiment == experiment) & (RECORD.seed == seed)]
    for column, rows in own.groupby("measured"):
        table[column] = rows.value.to_numpy()
    return table


def settings_of(table: pd.DataFrame) -> list[str]:
    measured = ("dead_units", "best_step", "parameters")
    return [name for name in table if not name.endswith("loss") and name not in measured]


def final(table: pd.DataFrame) -> str:
    """The column of losses at the end."""
    return next(name for name in ("val_loss", "last_loss") if name in table)


def verdict_on(experiment: str, table: object) -> checks.Verdict:
    facts = (ANOTHER_TEXT,) if experiment in RECORDED else FAIR[experiment].facts
    return getattr(checks, experiment)(table, *facts)


def read(experiment: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table as its check reads it."""
    right = table_of(experiment)
    settings = {name: right[name].tolist() for name in settings_of(right)}
    return read_rows(table, settings, [name for name in right if name not in settings])


def objects(values) -> pd.Series:
    """A column of anything; pandas itself would look into tensors."""
    values = list(values)
    column = pd.Series(len(values) * [None], dtype=object)
    for n, value in enumerate(values):
        column.iat[n] = value
    return column


FORMS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "settings as index": lambda t: t.set_index(settings_of(t)),
    "settings as index and as columns": lambda t: t.set_index(settings_of(t), drop=False),
    "columns the other way round": lambda t: t[t.columns[::-1]],
    "pandas' own nullable types": lambda t: t.convert_dtypes(),
    "categories": lambda t: t.astype("category"),
    "objects": lambda t: t.astype(object),
    "single precision": lambda t: t.astype({final(t): "float32"}),
    "tensors": lambda t: t.assign(**{final(t): objects(map(torch.tensor, t[final(t)]))}),
    "tensors with a gradient": lambda t: t.assign(
        **{final(t): objects(torch.tensor([v], requires_grad=True) for v in t[final(t)])}),
    "arrays": lambda t: t.assign(**{final(t): objects(np.array(v) for v in t[final(t)])}),
    "decimals": lambda t: t.assign(**{final(t): objects(map(decimal.Decimal, t[final(t)]))}),
    "another index": lambda t: t.set_axis(len(t) * ["run"]),
    "one more row": lambda t: pd.concat([t, t[:1].assign(**{settings_of(t)[-1]: 999})]),
}  # fmt: skip


@pytest.mark.parametrize("experiment", FAIR)
def test_a_table_is_read_in_any_form(experiment):
    right = table_of(experiment)
    for form, change in FORMS.items():
        pd.testing.assert_frame_equal(read(experiment, change(right)), read(experiment, right),
                                      rtol=1e-6, obj=form)  # fmt: skip


@pytest.mark.parametrize("experiment", FAIR)
def test_a_right_table_passes_though_its_last_losses_were_measured_once_more(experiment, known):
    again = changed(lambda losses: losses - 1e-7)(table_of(experiment))
    verdict = verdict_on(experiment, again.convert_dtypes())
    assert verdict.passed, verdict


def test_a_column_of_text_and_numbers_may_be_all_text():
    right = FAIR["silencing_experiment"].right
    verdict = verdict_on("silencing_experiment", right.astype({"silenced": str}))
    assert verdict.passed, verdict


@pytest.mark.parametrize("experiment", RECORDED)
def test_what_the_solution_measured_with_any_seed_passes(experiment, known):
    seeds = RECORD[RECORD.experiment == experiment].seed.unique()
    assert len(seeds) >= 5
    for seed in seeds:
        verdict = verdict_on(experiment, table_of(experiment, seed))
        assert verdict.passed, (seed, verdict)


def changed(function: Callable) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A table with its final losses changed as a whole."""
    return lambda t: t.assign(**{final(t): function(t[final(t)])})


def entry(value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A table with another first entry among the final losses."""
    return changed(lambda losses: objects([value, *losses[1:]]))


UNREADABLE = {
    "is text": (
        changed(lambda losses: losses.map("{:.4f}".format)),
        changed(lambda losses: losses.map("{:.4f}".format).astype("string")),
        entry("2.6"),
        lambda t: t.astype({c: str for c in t if c.endswith("loss")}),
    ),
    "complex number": (changed(lambda losses: losses.astype(complex)), entry(2.6 + 0j)),
    "true or false": (entry(True), entry(np.True_), changed(lambda losses: losses > 0)),
    "NaN or not a finite number": (
        entry(math.nan), entry(math.inf), entry(None), entry(pd.NA), entry([2.6, 2.7]),
        entry(torch.tensor([2.6, 2.7])), entry(torch.nan * torch.ones(())),
    ),
}  # fmt: skip


@pytest.mark.parametrize("experiment", FAIR)
def test_an_entry_that_is_no_real_number_gets_a_sentence(experiment):
    for hint, ways in UNREADABLE.items():
        for way in ways:
            with pytest.raises(checks.verdict.Mistake, match=hint):
                read(experiment, way(table_of(experiment)))


def exchanged(a: int, b: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A table in which two rows have each other's losses."""

    def exchange(t: pd.DataFrame) -> pd.DataFrame:
        order = list(range(len(t)))
        order[a], order[b] = order[b], order[a]
        return t.assign(**{c: t[c].to_numpy()[order] for c in t if c.endswith("loss")})

    return exchange


# Of single experiments, what the check must say of a solution's table changed like this.
FOUND = {
    "scale_experiment": {
        "Are rows exchanged": (exchanged(0, 5), exchanged(3, 5)),
        "`val_loss` is in bits": (changed(lambda v: v / math.log(2)),),
        "`val_loss` is to the base 10": (changed(lambda v: v / math.log(10)),),
        "how many steps": (changed(lambda v: v + 0.5), changed(lambda v: v - 0.2)),
        "`first_loss` is in bits": (lambda t: t.assign(first_loss=t.first_loss / math.log(2)),),
        "leave it unrounded": (changed(lambda v: v.round(2)),),
        "has the wrong sign": (changed(lambda v: -v),),
    },
    "context_experiment": {
        "Are rows exchanged": (exchanged(0, 4), exchanged(1, 5)),
        "`val_loss` is in bits": (changed(lambda v: v / math.log(2)),),
        "`val_loss` is a perplexity": (changed(np.exp),),
        "how many steps": (changed(lambda v: v - 0.04),),
    },
    "rate_experiment": {
        "Are rows exchanged": (exchanged(2, 5),),
        "set the seed before every row": (
            lambda t: t.assign(first_loss=t.first_loss + 0.01 * np.arange(6)),
        ),
        "how many steps": (changed(lambda v: v.clip(upper=3.0)),),
    },
    "depth_experiment": {
        "Are rows exchanged": (exchanged(0, 3), exchanged(4, 7)),
        "how many steps": (changed(lambda v: v + 0.4),),
    },
    "warmup_experiment": {
        "Are rows exchanged": (exchanged(0, 2), exchanged(0, 3)),
        "set the seed before every row": (
            lambda t: t.assign(first_loss=t.first_loss + 0.01 * np.arange(4)),
        ),
        "`last_loss` is in bits": (changed(lambda v: [*v[:3], v.iloc[3] / math.log(2)]),),
    },
    "rescue_experiment": {
        "Are rows exchanged": (exchanged(0, 5),),
        "how many steps": (
            lambda t: t.assign(best_loss=t.best_loss + 0.5, last_loss=t.last_loss + 0.5),
        ),
    },
}  # fmt: skip
FOUND_CASES = [(e, h, n) for e, hints in FOUND.items() for h in hints for n in range(len(hints[h]))]


@pytest.mark.parametrize(("experiment", "hint", "n"), FOUND_CASES)
def test_a_table_that_is_not_the_experiments_is_found_out(experiment, hint, n, known):
    verdict = verdict_on(experiment, FOUND[experiment][hint][n](table_of(experiment)))
    assert not verdict.passed and hint in verdict.message, verdict


@pytest.mark.parametrize("experiment", RECORDED)
def test_the_verdict_says_what_was_looked_at_and_what_was_not(experiment, known, monkeypatch):
    said = verdict_on(experiment, table_of(experiment)).message
    seeds = RECORD[RECORD.experiment == experiment].seed.nunique()
    assert f"the solution's, measured with {seeds} seeds" in said
    assert "Not looked at: the code that made the table; rows that are alike" in said
    monkeypatch.setattr(bands, "is_tiny_shakespeare", lambda text: False)
    said = verdict_on(experiment, table_of(experiment)).message
    assert "only those of Tiny Shakespeare are on record" in said and "Right" not in said


@pytest.mark.parametrize("experiment", sorted(set(FAIR) - set(RECORDED)))
def test_a_table_that_is_computed_again_whole_says_so(experiment):
    said = verdict_on(experiment, table_of(experiment)).message
    assert "again here" in said and "Right" not in said


def test_a_check_that_is_not_given_the_text_says_so():
    assert "`text`" in checks.scale_experiment(FAIR["scale_experiment"].right, 65).message


@pytest.mark.parametrize(("factor", "hint"), [
    (1 / math.log(2), "are these bits"), (15, "are these perplexities"), (-1, "already trained"),
])  # fmt: skip
def test_a_first_loss_in_another_unit_is_noticed_on_any_text(factor, hint):
    table = table_of("scale_experiment")
    table.first_loss *= factor
    assert hint in verdict_on("scale_experiment", table).message


def test_a_negative_loss_is_noticed_on_any_text():
    table = changed(lambda losses: -losses)(table_of("scale_experiment"))
    assert "is never negative" in verdict_on("scale_experiment", table).message


# What the solutions measured on other texts: one that is easy, one whose end is another language,
# one that only luck could tell the end of, and one of a single character.
EASY, SINGLE = "ab" * 10_000, "a" * 20_000
SHIFTING = "".join(random.Random(0).choices("abcdefgh ", k=18_000)) + "XYZWVUTS\n" * 222
LUCKY = "".join(random.Random(0).choices("abc", k=30_000))
ELSEWHERE = [
    ("context_experiment", EASY, {
        "first_loss": math.log(2),
        "val_loss": [0.001723, 0.001272, 0.001246, 0.001142, 0.001042, 0.000430]}),
    ("context_experiment", SHIFTING, {"first_loss": math.log(18), "val_loss": math.log(18)}),
    ("context_experiment", LUCKY, {
        "first_loss": math.log(3), "val_loss": [1.0986, 1.0988, 1.0987, 1.0987, 1.0985, 1.0986]}),
    ("scale_experiment", EASY, {
        "first_loss": [0.6615, 0.6327, 0.6407, 0.6328, 0.6428, 0.6452],
        "val_loss": [0.000080, 0.000094, 0.000103, 0.000095, 0.000110, 0.173662]}),
    ("scale_experiment", SHIFTING, {
        "first_loss": [2.9154, 2.94415, 2.95381, 2.92889, 2.95487, 2.95672],
        "val_loss": [6.972, 7.08436, 7.2281, 7.11581, 7.24498, 6.9473]}),
    ("rate_experiment", EASY, {
        "first_loss": 3 * [0.69637] + 3 * [0.69648], "val_loss": 0.0,
        "dead_units": [15, 6, 4, 3, 3, 0]}),
    ("rate_experiment", LUCKY, {
        "first_loss": 3 * [1.10519] + 3 * [1.10494],
        "val_loss": [1.09862, 1.09863, 1.09864, 1.09855, 1.09858, 1.0984],
        "dead_units": [72, 128, 128, 33, 74, 116]}),
    ("depth_experiment", EASY, {
        "parameters": 2 * [12866, 25346, 50306, 100226],
        "first_loss": [0.66345, 0.24044, 1.25975, 0.84437, 0.64378, 0.26282, 1.11606, 0.88396],
        "val_loss": [1.13e-05, 8.2e-07, 0, 0, 1.42e-05, 5.66e-06, 5.96e-07, 2.98e-08]}),
    ("warmup_experiment", EASY, {
        "first_loss": 3 * [0.76174] + [0.76502],
        "last_loss": [0.000602, 0.000202, 0.000261, 0.000552]}),
    ("warmup_experiment", LUCKY, {
        "first_loss": 3 * [1.16186] + [1.19382],
        "last_loss": [1.10306, 1.10222, 1.10246, 1.10362]}),
    ("rescue_experiment", EASY, {
        "best_step": 300,
        "best_loss": [0.0000331, 0.0000472, 0.0000324, 0.0000571, 0.0000683, 0.0000331],
        "last_loss": [0.0000331, 0.0000472, 0.0000324, 0.0000571, 0.0000683, 0.0000331]}),
    ("scale_experiment", SINGLE, {"first_loss": 0.0, "val_loss": 0.0}),
    ("context_experiment", SINGLE, {"first_loss": 0.0, "val_loss": 0.0}),
    ("rescue_experiment", SINGLE, {"best_step": 0, "best_loss": 0.0, "last_loss": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("experiment", "text", "measured"), ELSEWHERE)
def test_what_the_solution_measured_on_another_text_passes(experiment, text, measured, monkeypatch):
    monkeypatch.setattr(again, "EVAL_BATCH_SIZE", 2)  # nothing is run again: it only takes time
    monkeypatch.setattr(again, "begins", lambda *row: False)
    table = table_of(experiment).assign(**measured)
    for form in (table, table.round(4), table.round(3)):
        verdict = getattr(checks, experiment)(form, text)
        assert verdict.passed, verdict


@pytest.mark.parametrize("losses", [
    lambda v: v / 100,  # an easy text, or a leak
    lambda v: v + 3,  # a short text, or gradients that were not cleared
])  # fmt: skip
@pytest.mark.parametrize("experiment", RECORDED)
def test_what_may_be_honest_elsewhere_is_not_on_tiny_shakespeare(
    experiment, losses, known, monkeypatch
):
    names = [c for c in table_of(experiment) if c.endswith("loss") and c != "first_loss"]
    table = table_of(experiment)
    table[names] = losses(table[names])
    said = verdict_on(experiment, table).message
    assert "no model of this course comes near that" in said or "the loss of a model that" in said
    monkeypatch.setattr(bands, "is_tiny_shakespeare", lambda text: False)
    monkeypatch.setattr(averaging, "full_loss", lambda *sizes: table[names[0]][0])
    verdict = verdict_on(experiment, table)
    assert verdict.passed, verdict


def test_a_text_of_one_character_has_no_heads_to_tell_apart():
    model = LanguageModel(1, 8, 8, CausalSelfAttention(8, 2))
    table = pd.DataFrame({"silenced": ["none", 0, 1], "val_loss": 0.0})
    verdict = checks.silencing_experiment(table, model, torch.zeros(100, dtype=torch.long))
    assert verdict.passed, verdict


@pytest.mark.parametrize("text", ["a", "ab", "a longer text"])
def test_a_text_that_is_too_short_is_no_fault_of_the_answer(text):
    table = table_of("scale_experiment").assign(first_loss=math.log(len(set(text))))
    verdict = checks.scale_experiment(table, text)
    assert verdict.word == "not checked" and "use a longer text" in verdict.message


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "bytes": lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another header": lambda path: path.write_text(path.read_text().replace("measured", "m", 1)),
    "a word": lambda path: path.write_text(path.read_text().replace("4.", "four", 1)),
    "no number": lambda path: path.write_text(path.read_text().replace("_loss,4.2", "_loss,,", 1)),
    "a header alone": lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"),
}  # fmt: skip


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A copy of the record that the checks compare with."""
    monkeypatch.setattr(on_record, "EXPERIMENTS_DIR", tmp_path)
    path = tmp_path / "exercises.csv"
    path.write_bytes((EXPERIMENTS_DIR / path.name).read_bytes())
    return path


def assert_the_record_is_blamed(verdict: checks.Verdict) -> None:
    assert verdict.word == "not checked" and "not checked" in verdict._repr_html_()
    assert "your answer was not looked at" in verdict.message
    assert "`git checkout -- " in verdict.message and "docstring" not in verdict.message


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_that_is_damaged_is_not_the_answers_fault(damage, record, known):
    DAMAGES[damage](record)
    for experiment in RECORDED:
        assert_the_record_is_blamed(verdict_on(experiment, table_of(experiment)))


@pytest.mark.parametrize("experiment", RECORDED)
def test_a_record_that_lacks_a_line_is_not_the_answers_fault(experiment, record, known):
    lines = record.read_text().splitlines(keepends=True)
    for n in [n for n, line in enumerate(lines) if line.startswith(experiment)][::9]:
        record.write_text("".join(lines[:n] + lines[n + 1 :]))
        assert_the_record_is_blamed(verdict_on(experiment, table_of(experiment)))


def test_weights_that_are_not_enlarged_as_they_should_be_are_noticed_on_any_text(monkeypatch):
    monkeypatch.setattr(attention, "begins", lambda rows, n, *how: n == 0)
    verdict = verdict_on("scale_experiment", table_of("scale_experiment"))
    assert "of query and of key made larger" in verdict.message


class Divided(ResidualBlock):
    """Attention adds 1 / attn of what it would, the feed-forward layer 1 / mlp."""

    def __init__(self, attn: float, mlp: float):
        super().__init__(32, 4)
        self.attn_by, self.mlp_by = attn, mlp

    def communicate(self, x):
        return super().communicate(x) / self.attn_by

    def compute(self, x):
        return super().compute(x) / self.mlp_by


@pytest.mark.parametrize(("attn", "mlp", "hint"), [
    (8**0.5, 8**0.5, "All 8 rows are there"), (8, 8, "√(2 · depth)"), (8**0.5, 1, "√(2 · depth)"),
    (1, 8**0.5, "√(2 · depth)"), (4**0.5, 4**0.5, "√(2 · depth)"),
])  # fmt: skip
def test_what_a_block_adds_is_divided_by_the_root_of_twice_the_depth(attn, mlp, hint, monkeypatch):
    monkeypatch.setattr(residual, "run_again", lambda *row, **settings: "")  # the text is another
    monkeypatch.setattr(again, "EVAL_BATCH_SIZE", 32)  # to save time
    table = table_of("depth_experiment")
    _, val_data, tokenizer = encode_and_split(ANOTHER_TEXT)
    for n, depth, by in ((0, 1, (1, 1)), (6, 4, (attn, mlp))):
        torch.manual_seed(again.SEED)
        blocks = nn.Sequential(*(Divided(*by) for _ in range(depth)))
        model = LanguageModel(tokenizer.vocab_size, 32, 8, blocks)
        table.loc[n, "first_loss"] = estimate_loss(model, val_data, 32, 8, EVAL_ITERS)
    assert hint in verdict_on("depth_experiment", table).message


def identity(vocab_size: int) -> LanguageModel:
    return LanguageModel(vocab_size, 8, 8, nn.Identity())


@pytest.fixture
def row(text, data) -> pd.DataFrame:
    """The row of a model trained for 20 steps, with the lessons' seed."""
    train_data, val_data = data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]
    torch.manual_seed(again.SEED)
    losses = train(identity(len(set(text))), train_data, val_data, batch_size=32, block_size=8,
                   max_iters=20, eval_interval=20, learning_rate=0.03,
                   progress=tqdm(disable=True)).val_loss  # fmt: skip
    index = pd.Index([1], name="factor")
    return pd.DataFrame(
        {"first_loss": losses.iloc[0], "val_loss": losses.iloc[-1]}, index, dtype=float
    )


def test_a_row_that_was_trained_as_it_should_be_is_found_again(row, text):
    said = again.run_again(row, 0, text, identity, max_iters=20, learning_rate=0.03)
    assert "was trained again here" in said


@pytest.mark.parametrize(
    ("factor", "hint"), [(1 / math.log(2), "is in bits"), (1.2, "trained again here")]
)
def test_a_row_that_ends_elsewhere_is_a_mistake_on_any_text(row, text, factor, hint):
    row.val_loss *= factor
    with pytest.raises(checks.verdict.Mistake, match=hint):
        again.run_again(row, 0, text, identity, max_iters=20, learning_rate=0.03)


def test_a_row_of_another_seed_is_not_run_again(row, text):
    row.first_loss += 0.1
    said = again.run_again(row, 0, text, identity, max_iters=20, learning_rate=0.03)
    assert "No row was run again" in said
