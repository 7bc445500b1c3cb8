"""Write TEACHING.md's two tables of minutes (--write), or check that they are fresh (--check).

Minutes are the notebooks', seconds those in data/losses/. A plan is a table of parts and minutes
in TEACHING.md: its parts are added up and compared with the time available.
"""

import re

from lessons.course.catalogue import Lesson, read_lessons
from lessons.course.markers import README, markdown, refresh, replace_between, write_or_check
from lessons.errors import BadInput, exits_cleanly
from lessons.files import read_text
from lessons.ladder import RUNGS
from lessons.records import read_losses
from lessons.results import summary

import pandas as pd

TEACHING = README.with_name("TEACHING.md")
# The minutes available, with breaks and without lunch.
PLANS = {"90 minutes": 90, "Half a day": 240, "Two days, day 1": 390, "Two days, day 2": 390}
KINDS = ["teaching", "exercises", "talk", "breaks", "spare"]
OTHER = dict.fromkeys(["opening", "ladder", "closing"], "talk") | {"break": "breaks"}
OTHER["spare"] = "spare"


def minutes_table(lessons: list[Lesson]) -> str:
    """A row for each lesson, with the seconds of its last rung if it has one, and the sums."""
    table = summary(read_losses())
    trains = {r.lesson: f"{table.seconds[r.stem]:.0f} s" for r in RUNGS if r.stem in table.index}
    minutes = pd.DataFrame({
        "lesson": [f"{lesson.number} · {lesson.title}" for lesson in lessons],
        "teaching": [lesson.minutes for lesson in lessons],
        "exercises": [lesson.exercise_minutes for lesson in lessons],
    })  # fmt: skip
    minutes["both"] = minutes.teaching + minutes.exercises
    sums = minutes[["teaching", "exercises", "both"]].sum()
    minutes["its rung trains"] = [trains.get(lesson.number, "") for lesson in lessons]
    everything = sums.to_dict() | {"lesson": "**all**", "both": f"**{sums.both}**"}
    table = pd.concat([minutes, pd.DataFrame([everything])]).fillna("")
    return markdown(table, words=["lesson"])


def stated_minutes(lessons: list[Lesson]) -> dict[str, int]:
    """Each part of a lesson that a plan may name -> the minutes that its notebook states."""
    stated = {}
    for lesson in lessons:
        name = f"lesson {lesson.number}"
        stated |= {name: lesson.minutes, f"{name}, shortened": lesson.minutes}
        for n, exercise in enumerate(lesson.exercises, 1):
            stated[f"{name}, exercise {n}"] = exercise.minutes
    return stated


def kind_of(part: str, minutes: int, stated: dict[str, int]) -> str:
    """One of KINDS for a row of a plan; raises BadInput if its notebook states other minutes."""
    if part in OTHER:
        return OTHER[part]
    if part not in stated:
        raise BadInput(
            f"{part!r} in a plan is neither part of a lesson nor one of {', '.join(OTHER)}."
        )
    limit = stated[part]
    if not (minutes < limit if part.endswith("shortened") else minutes == limit):
        raise BadInput(f"A plan has {minutes} minutes for {part}, and the notebook has {limit}.")
    return "exercises" if "exercise" in part else "teaching"


def plans_table(page: str, lessons: list[Lesson]) -> str:
    """What the parts of each plan add up to; raises BadInput if a plan does not fit its time."""
    stated = stated_minutes(lessons)
    rows = []
    for plan, limit in PLANS.items():
        section = page.partition(f"\n### {plan}\n")[2].partition("\n#")[0]
        rows_of_plan = [line for line in section.splitlines() if line.startswith("|")][2:]
        sums = dict.fromkeys(KINDS, 0)
        for row in rows_of_plan:
            cells = re.match(r"\|([^|]+)\| *(\d{1,4}) *\|", row)
            if not cells:
                raise BadInput(f"{plan!r} in TEACHING.md has {row!r}: give a part and its minutes.")
            minutes = int(cells[2])
            sums[kind_of(cells[1].strip(), minutes, stated)] += minutes
        total = sum(sums.values())
        if not 0 < total <= limit:
            raise BadInput(f"{plan!r} in TEACHING.md takes {total} of {limit} minutes: change it.")
        rows.append({"plan": plan} | sums | {"in all": f"{total} of {limit}"})
    return markdown(pd.DataFrame(rows), words=["plan"])


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__.splitlines()[0]).parse_args()
    old, lessons = read_text(TEACHING), read_lessons(README.parent / "notebooks")
    new = replace_between(old, "minutes", minutes_table(lessons))
    new = replace_between(new, "plans", plans_table(old, lessons))
    refresh(TEACHING, old, new, args.write, "`make figures`")


if __name__ == "__main__":
    main()
