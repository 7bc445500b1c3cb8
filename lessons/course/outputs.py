"""Plumbing · what a notebook's cell printed, and whether a second run of it printed the same.

A cell that prints has one tag, which says how much of that is the same elsewhere: PRINTS.
"""

import re

import nbformat

PRINTS = {
    "nbval-check-output": "the same on every machine, whatever the text",
    "shakespeare": "the same on every machine, on Tiny Shakespeare",
    "losses": "on Tiny Shakespeare the same words and whole numbers, decimals within TOLERANCE",
    "timing": "times",
    "sample": "what a model wrote or learned, which differs from machine to machine",
}
COMPARED = ("nbval-check-output", "shakespeare", "losses")
TOLERANCE = 0.02
NOISE = 1e-5  # below it a number in scientific notation is an error of rounding
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?")


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or returned, without figures and without what went to stderr."""
    return "".join(filter(None, map(output_text, cell.get("outputs", []))))


def output_text(output: nbformat.NotebookNode) -> str | None:
    """The text of an output, or None if it has none."""
    if output.output_type == "stream":
        return output.text if output.name == "stdout" else None
    data = output.get("data", {})
    return None if "image/png" in data else data.get("text/plain")


def kind_of_print(cell: nbformat.NotebookNode) -> list[str]:
    """Those of PRINTS that a cell is tagged with; nbval takes a comment for its tag too."""
    tags = list(cell.metadata.get("tags", []))
    if re.search(r"^ *# *NBVAL_CHECK_OUTPUT", cell.source, re.MULTILINE):
        tags.append("nbval-check-output")
    return [tag for tag in PRINTS if tag in tags]


def agree(one: str, other: str) -> bool:
    """Whether two texts have the same words and whole numbers, and decimals within TOLERANCE.

    Spaces are not compared: a longer number moves a whole table.
    """
    words = [NUMBER.sub("#", text).split() for text in (one, other)]
    numbers = NUMBER.findall(one), NUMBER.findall(other)
    same = words[0] == words[1] and len(numbers[0]) == len(numbers[1])
    return same and all(map(near, *numbers))


def near(one: str, other: str) -> bool:
    """Whether two printed numbers may come from two runs on two machines."""
    if one == other:
        return True
    a, b = (float(number.replace(",", "")) for number in (one, other))
    if "e" in one + other:
        return max(abs(a), abs(b)) < NOISE or a * b > 0 and 0.5 <= a / b <= 2
    return "." in one and "." in other and abs(a - b) <= TOLERANCE + 1e-9


def as_before(new: list, old: list) -> list:
    """The new outputs, with the old text wherever it agrees with theirs, and without stderr."""
    new = [output for output in new if output.get("name") != "stderr"]
    for output, before in zip(new, old, strict=False):
        texts = output_text(output), output_text(before)
        if None in texts or output.output_type != before.output_type or not agree(*texts):
            continue
        if output.output_type == "stream":
            output["text"] = before["text"]
        else:
            output["data"] = before["data"]
    return new
