"""Text from files, runtimes and devices in Markdown: shown as it is, whatever it holds."""

from models.common.console import printable

LIMIT_BYTES = 60_000  # GitHub takes 65,536 characters in a comment
CELL_CHARACTERS = 300  # of a reason in a table
# `@` would call people, the others begin markup
MARKS = str.maketrans({**{mark: f"\\{mark}" for mark in "\\`*_[]|#~"}, **{mark: f"&#{ord(mark)};" for mark in "<>@&"}})
LINKS = (("://", "&#58;//"), ("www.", "www&#46;"))  # GitHub makes links of bare addresses


def plain(text: str, most: int = CELL_CHARACTERS) -> str:
    """Return one line that Markdown shows as it is, cut to `most` characters: reasons may hold anything."""
    line = printable(text)
    line = (line if len(line) <= most else line[: most - 1] + "…").translate(MARKS)
    for address, shown in LINKS:
        line = line.replace(address, shown)
    return line


def row(cells: list[str], most: int = CELL_CHARACTERS) -> str:
    """Return a line of a Markdown table whose cells hold plain text."""
    return f"| {' | '.join(plain(cell, most) for cell in cells)} |"
