"""Write TEACHING.md's two tables of minutes (--write), or see if they are fresh (--check).

Minutes are the notebooks', seconds those in data/losses/. A plan is a table of parts and minutes
in TEACHING.md: its parts are added up, and held against the time that there is.
"""

import re

from lessons.course.markers import README, refresh, replace_between, write_or_check
from lessons.errors import BadInput, exits_cleanly
from lessons.ladder import RUNGS
from lessons.records import read_losses
from lessons.results import summary

import nbformat

TEACHING = README.with_name("TEACHING.md")
# The minutes that there are, with breaks and without lunch.
PLANS = {"90 minutes": 90, "Half a day": 240, "Two days, day 1": 390, "Two days, day 2": 390}
KINDS = ["teaching", "exercises", "talk", "breaks", "spare"]
OTHER = dict.fromkeys(["opening", "ladder", "closing"], "talk") | {"break": "breaks"}
OTHER["spare"] = "spare"


def read_lessons() -> list[tuple[str, int, list[int]]]:
    """Each lesson's title, teaching minutes and minutes of its exercises."""
    lessons = []
    for path in sorted((README.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        title = re.search(r"^# Lesson (.+)$", text, re.MULTILINE)[1]
        each = re.findall(r"^\*\*\d · .*?\((\d+) minutes\)", text, re.MULTILINE)
        teaching = notebook.metadata["gpt_ladder"]["minutes"]["lesson"]
        lessons.append((title, teaching, [int(n) for n in each]))
    return lessons


def minutes_table(lessons: list[tuple[str, int, list[int]]]) -> str:
    """A row for each lesson, with the seconds of its last rung if it has one, and the sums."""
    table = summary(read_losses())
    trains = {r.lesson: f"{table.seconds[r.stem]:.0f} s" for r in RUNGS if r.stem in table.index}
    rows = ["| lesson | teaching | exercises | both | its rung trains |", "|---|--:|--:|--:|--:|"]
    sums = sum(teaching for _, teaching, _ in lessons), sum(sum(each) for *_, each in lessons)
    for n, (title, teaching, each) in enumerate(lessons, 1):
        both = teaching + sum(each)
        rows.append(f"| {title} | {teaching} | {sum(each)} | {both} | {trains.get(n, '')} |")
    return "\n".join([*rows, f"| **all** | {sums[0]} | {sums[1]} | **{sum(sums)}** | |"])


def kind_of(part: str, minutes: int, lessons: list[tuple[str, int, list[int]]]) -> str:
    """One of KINDS for a row of a plan; raises BadInput if its notebook has other minutes."""
    match = re.fullmatch(r"lesson ([1-8])(, shortened|, exercise ([1-3]))?", part)
    if not match and part not in OTHER:
        raise BadInput(f"{part!r} in a plan is neither of a lesson nor one of {', '.join(OTHER)}.")
    if not match:
        return OTHER[part]
    (_, teaching, each), exercise = lessons[int(match[1]) - 1], match[3]
    stated = each[int(exercise) - 1] if exercise else teaching
    if not (minutes < stated if part.endswith("shortened") else minutes == stated):
        raise BadInput(f"A plan has {minutes} minutes for {part}, and the notebook has {stated}.")
    return "exercises" if exercise else "teaching"


def plans_table(page: str, lessons: list[tuple[str, int, list[int]]]) -> str:
    """What the parts of each plan add up to; raises BadInput if a plan does not fit its time."""
    table = [f"| plan | {' | '.join(KINDS)} | in all |", "|---" + "|--:" * 6 + "|"]
    for plan, limit in PLANS.items():
        section = page.partition(f"\n### {plan}\n")[2].partition("\n#")[0]
        rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("|")][2:]
        sums = dict.fromkeys(KINDS, 0)
        for part, minutes in rows:
            sums[kind_of(part.strip(), int(minutes), lessons)] += int(minutes)
        total = sum(sums.values())
        if not 0 < total <= limit:
            raise BadInput(f"{plan!r} in TEACHING.md takes {total} of {limit} minutes: change it.")
        table.append(f"| {plan} | {' | '.join(map(str, sums.values()))} | {total} of {limit} |")
    return "\n".join(table)


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__.splitlines()[0]).parse_args()
    old, lessons = TEACHING.read_text(encoding="utf-8"), read_lessons()
    new = replace_between(old, "minutes", minutes_table(lessons))
    new = replace_between(new, "plans", plans_table(old, lessons))
    refresh(TEACHING, old, new, args.write, "`make figures`")


if __name__ == "__main__":
    main()
