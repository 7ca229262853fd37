"""The table of `--profile`: where the lanes' time went, by family of recipes and by phase (export/phases.py)."""

from collections import Counter, defaultdict

from rich.table import Table

from export.phases import NAMES


class ProfileTable:
    """Seconds of all lanes together; with `lanes` side by side, a second of the export has so many."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.seconds: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, family: str, spent: dict[str, float]) -> None:
        """Take in what a lane spent on a family since it last told."""
        self.seconds[family or "references"].update(spent)

    def table(self, took_s: float) -> Table:
        """Return the table, the costliest family first; `took_s` is how long the whole export took."""
        totals: Counter[str] = Counter()
        for spent in self.seconds.values():
            totals.update(spent)
        busy = totals.total()
        table = Table(title=f"Where the time went: {busy:.1f} s of {self.lanes} lanes in {took_s:.1f} s")
        table.add_column("made", no_wrap=True)
        names = [name for name in NAMES if totals[name] >= 0.05]
        for name in (*names, "all"):
            table.add_column(name, justify="right", no_wrap=True)
        for family, spent in sorted(self.seconds.items(), key=lambda item: -item[1].total()):
            table.add_row(family, *(_text(spent[name]) for name in names), _text(spent.total()))
        table.add_section()
        table.add_row("all", *(_text(totals[name]) for name in names), _text(busy))
        whole_s = self.lanes * took_s
        if idle := max(0.0, whole_s - busy):  # starting, planning, a lane without work at the end
            table.caption = f"{idle:.1f} s of the lanes' {whole_s:.1f} s are not in it: starts, plans, waiting"
        return table


def _text(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.05 else ""
