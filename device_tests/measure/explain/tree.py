"""Prints a placement and its layers for people."""

from collections import defaultdict

from rich.table import Table
from rich.tree import Tree

from device_tests.results.layers import BAD_SQNR_DB, Layers
from device_tests.results.placements import Operator, Placement, why_expected
from models.common.console import plain

LARGEST = 6  # parts of a section that are shown


def shown(text: object) -> str:
    """Return the text of a file or a runtime without what a terminal would obey; line breaks stay."""
    return plain(text, lines=True)


def placement_tree(placement: Placement) -> Tree:
    """Return a placement as a tree: operators and their numbers, sizes, defects, notes."""
    versions = ", ".join(f"{name} {version}" for name, version in placement.versions.items())
    tree = Tree(f"[bold]{shown(placement.id)}[/] ({shown(versions)})")
    offers = shown(", ".join(placement.instruction_sets)) or "unknown"
    tree.add(f"kernels: {shown(placement.library)}; this CPU offers {offers}")
    shares = [f"{placement.integer_macs:.1%} of the MACs in integers"]
    if placement.delegate:
        shares.append(f"{placement.delegate} took {placement.delegated_nodes:.1%} of the operators, "
                      f"{placement.delegated_macs:.1%} of the MACs")  # fmt: skip
    operators = tree.add(f"{len(placement.operators)} operators: {'; '.join(shares)}")
    for operator in placement.operators:
        operators.add(_operator(operator, bool(placement.delegate), sum(o.macs for o in placement.operators) or 1))
    _sizes(tree, placement)
    for defect in placement.defects:
        why = why_expected(placement.id, defect)
        accepted = f"[yellow]known defect: {shown(defect)}: {shown(why)}[/]"
        tree.add(accepted if why else f"[red]defect: {shown(defect)}[/]")
    for note in placement.notes:
        tree.add(f"note: {shown(note)}")
    return tree


def _operator(o: Operator, has_delegate: bool, macs: int) -> str:
    words = [shown(o.name)]
    if o.weights:
        words.append(f"[bold]{shown(o.layer)}[/], {o.macs / macs:.1%} of the MACs, {shown(o.weights)} weights")
    if o.activations:
        words.append(f"{shown(o.activations)} in")
    if has_delegate and not o.taken:
        words.append("[yellow]not delegated[/]")
    if o.weights and not o.integer:
        words.append("in float")
    return ", ".join(words)


def _sizes(tree: Tree, placement: Placement) -> None:
    total = sum(p.size_bytes for p in placement.parts)
    branch = tree.add(f"{total:,} bytes")
    sections: dict[str, list] = defaultdict(list)
    for part in placement.parts:
        sections[part.section].append(part)
    for name, parts in sorted(sections.items(), key=lambda entry: -sum(p.size_bytes for p in entry[1])):
        size = sum(p.size_bytes for p in parts)
        section = branch.add(f"{size:>10,} {size / total:6.1%} {shown(name)}")
        parts.sort(key=lambda p: -p.size_bytes)
        for part in parts[:LARGEST]:
            section.add(f"{part.size_bytes:>10,} {shown(part.name)}")
        if len(parts) > LARGEST:
            section.add(f"{sum(p.size_bytes for p in parts[LARGEST:]):>10,} in {len(parts) - LARGEST} more")


def layers_table(layers: Layers) -> Table:
    """Return the error of each layer against the float32 twin."""
    by = f"{layers.images} images, by {shown(layers.tool)}"
    table = Table(title=f"{shown(layers.artifact)}: error against the float source, {by}")
    for column in ("layer", "own SQNR dB", "SQNR dB", "max abs", "cosine", ""):
        table.add_column(column, justify="left" if column in ("layer", "") else "right")
    for e in layers.errors:
        if not e.paired:
            table.add_row(shown(e.layer), "", "", "", "", "[yellow]not paired[/]")
            continue
        mark = "[red]first bad layer[/]" if e.layer == layers.first_bad else ""
        decibels = ("exact" if value is None else f"{value:.1f}" for value in (e.own_sqnr_db, e.sqnr_db))
        table.add_row(shown(e.layer), *decibels, f"{e.max_abs:.4g}", f"{e.cosine:.6f}", mark)
    table.caption = (
        f"own: given the inputs that it had; first layer with less than {BAD_SQNR_DB:g} dB of its own: "
        f"{shown(layers.first_bad) or 'none'}"
    )
    return table
