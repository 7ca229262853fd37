"""Compares two graphs of one network, a quantized file and its float32 twin, tensor by tensor and like with like.

The twin went through the same converter, so batch norms are folded and activations fused in both. A tensor of one graph
is paired with a tensor of the other by its name, or, where a format keeps no names, by its place in the sequence of
operators, and only if their shapes agree and both are computed from the same paired tensors: inputs are found along the
graph's edges, so branches, residuals and attention are no special case. What cannot be paired is never judged.

A layer's own error is what it adds to the values that it was given. To measure it the float32 twin runs a second time
with the file's own value put in the place of every paired tensor: each float layer then computes from exactly the
inputs that the file's layer had, and what differs is that layer's doing alone.
"""

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Protocol, Self

import numpy as np

Values = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator, with the names of the activations that it takes and gives; constants are left out.

    `kinds` are the operators that it fuses, in words common to all formats; empty where it only moves or rounds values.
    `weights` is the number of its constant weights, `shapes` their `channel_shapes`. `rounds` tells whether it only
    quantizes or dequantizes.
    """

    kinds: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: int = 0
    shapes: tuple[float, ...] = ()
    rounds: bool = False


def channel_shapes(weights: np.ndarray, axis: int) -> tuple[float, ...]:
    """Return a fingerprint of float weights that neither their order in a format nor a folded batch norm changes.

    It is the sorted peakedness of the output channels (along `axis`), which no scale of a channel changes.
    """
    channels = np.moveaxis(weights.astype(np.float64), axis, 0).reshape(weights.shape[axis], -1)
    power = (channels**2).sum(1)
    return tuple(np.sort((channels**4).sum(1) / np.maximum(power**2, sys.float_info.min)))


class Graph(Protocol):
    """An opened file. `values` are float32, dequantized where the tensor holds integers, as the consumers receive them.

    `named` tells whether quantization keeps the tensors' names; PyTorch numbers them anew.
    """

    named: bool
    nodes: tuple[Node, ...]
    input: str
    output: str

    def values(self, image: np.ndarray) -> Values:
        """Return every activation for one native image [1,...]."""

    def forced(self, image: np.ndarray, given: Values) -> Values:
        """Return every activation as computed, while its consumers receive the one that is `given`."""


@dataclass
class Tally:
    """Sums over images of how far values are from what was expected."""

    noise: float = 0.0
    signal: float = 0.0
    energy: float = 0.0
    product: float = 0.0
    max_abs: float = 0.0

    def add(self, value: np.ndarray, expected: np.ndarray) -> Self:
        value, expected = value.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
        self.noise += float(((value - expected) ** 2).sum())
        self.signal += float((expected**2).sum())
        self.energy += float((value**2).sum())
        self.product += float(value @ expected)
        self.max_abs = max(self.max_abs, float(np.abs(value - expected).max(initial=0.0)))
        return self

    @property
    def sqnr_db(self) -> float | None:
        """Signal to noise in decibels, None where nothing differs."""
        return 10 * math.log10(max(self.signal, sys.float_info.min) / self.noise) if self.noise else None

    @property
    def cosine(self) -> float:
        norms = math.sqrt(self.signal) * math.sqrt(self.energy)
        return self.product / norms if norms else float(self.noise == 0)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A paired tensor: the nodes that compute it from the paired tensors before it, its whole error and its own error."""

    segment: tuple[Node, ...]
    whole: Tally = field(default_factory=Tally)
    own: Tally = field(default_factory=Tally)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paired tensors by their names in the twin, in the twin's order, and the final outputs of both graphs [N,...]."""

    tensors: dict[str, Compared]
    ends: np.ndarray
    twin_ends: np.ndarray


def compare(file: Graph, twin: Graph, natives: np.ndarray, images: np.ndarray) -> Comparison:
    """Run both graphs image by image; `natives` are the float32 `images` [N,...] in the file's own dtype and layout."""
    compared: dict[str, Compared] = {}
    pairs: dict[str, str] = {}
    ends, twin_ends = [], []
    for i in range(len(images)):
        actual, expected = file.values(natives[i : i + 1]), twin.values(images[i : i + 1])
        if not compared:
            pairs = {of: name for name, of in pair(file, twin, actual, expected).items()}
            compared = {of: Compared(segment=nodes) for of, nodes in segments(twin, pairs).items()}
        given = {of: actual[name] for of, name in pairs.items()}
        computed = twin.forced(images[i : i + 1], given)
        for of, entry in compared.items():
            entry.whole.add(given[of], expected[of])
            entry.own.add(given[of], computed[of])
        ends.append(actual[file.output])
        twin_ends.append(expected[twin.output])
    return Comparison(tensors=compared, ends=np.concatenate(ends), twin_ends=np.concatenate(twin_ends))


def stepwise(source: str, image: np.ndarray, given: Values, steps: Iterable[Callable[[Values], Values]]) -> Values:
    """Return every value as computed, step by step from the `source`, while later steps receive those that are `given`."""
    computed, received = {source: image}, {source: given.get(source, image)}
    for step in steps:
        for name, value in step(received).items():
            computed[name], received[name] = value, given.get(name, value)
    return computed


def pair(file: Graph, twin: Graph, actual: Values, expected: Values) -> dict[str, str]:
    """Return the file's tensors that the twin has too, by their names in the twin; one image's values give the shapes."""

    def agree(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        there = ((a, b) for a, b in pairs if a in actual and b in expected and actual[a].shape == expected[b].shape)
        return _consistent(file, twin, {file.input: twin.input, **dict(there)})

    placed = agree(_by_place(file, twin, actual, expected))
    if not twin.named:
        return placed
    named = agree((name, name) for node in twin.nodes for name in node.outputs)
    return max(named, placed, key=lambda pairs: _weighted(twin, pairs))


def _weighted(twin: Graph, pairs: Mapping[str, str]) -> tuple[int, int]:
    """Return how many segments with weights the pairs give, and how many pairs there are."""
    taken = segments(twin, pairs.values())
    return sum(any(node.weights for node in nodes) for nodes in taken.values()), len(pairs)


def _by_place(file: Graph, twin: Graph, actual: Values, expected: Values) -> Iterator[tuple[str, str]]:
    """Yield pairs of tensors at the same place in both sequences of operators, compared by kind and output shape."""
    ours, theirs = list(_sequence(file, actual)), list(_sequence(twin, expected))
    matcher = SequenceMatcher(None, [entry[0] for entry in ours], [entry[0] for entry in theirs], autojunk=False)
    for at, beside, size in matcher.get_matching_blocks():
        for (_, name), (_, of) in zip(ours[at : at + size], theirs[beside : beside + size], strict=True):
            if name and of:
                yield name, of


def _sequence(graph: Graph, values: Values) -> Iterator[tuple[tuple[str, tuple[int, ...]], str]]:
    """Yield each operator's kind and output shape, and its output's name, "" where a fused operator follows."""
    for node in graph.nodes:
        (output, *_) = node.outputs
        shape = values[output].shape if output in values else ()
        for i, kind in enumerate(node.kinds, start=1):
            yield (kind, shape), output if i == len(node.kinds) else ""


def _consistent(file: Graph, twin: Graph, pairs: dict[str, str]) -> dict[str, str]:
    """Return the pairs without those whose tensors are computed from different paired tensors, dropped one by one."""
    ours, theirs = _makers(file), _makers(twin)
    while True:
        paired = set(pairs.values())
        for name, of in pairs.items():
            above = {pairs[n] for n in _walk(name, ours, pairs.keys())[0]}
            if above != _walk(of, theirs, paired)[0]:
                break
        else:
            return pairs
        pairs = {n: o for n, o in pairs.items() if n != name}


def _makers(graph: Graph) -> dict[str, Node]:
    return {output: node for node in graph.nodes for output in node.outputs}


def _walk(name: str, makers: Mapping[str, Node], paired: Iterable[str]) -> tuple[set[str], set[int]]:
    """Follow the graph back from a tensor; return the first paired tensors, and the ids of the nodes on the way."""
    ends, between, waiting = set(), set(), [name]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or id(node) in between:
            continue
        between.add(id(node))
        for above in node.inputs:
            if above in paired:
                ends.add(above)
            else:
                waiting.append(above)
    return ends, between


def segments(graph: Graph, paired: Iterable[str]) -> dict[str, tuple[Node, ...]]:
    """Return the nodes that compute each paired tensor from the paired ones before it, in the order of execution."""
    makers, paired = _makers(graph), set(paired)
    segment_of = {}
    for node in graph.nodes:
        for output in node.outputs:
            if output in paired:
                between = _walk(output, makers, paired)[1]
                segment_of[output] = tuple(n for n in graph.nodes if id(n) in between)
    return segment_of


def settled(nodes: Iterable[Node]) -> dict[str, str]:
    """Return for each tensor the one that its consumers receive, which is the rounded one where all of them take that."""
    takers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            takers.setdefault(name, []).append(node)

    def follow(name: str) -> str:
        while takers.get(name) and all(node.rounds for node in takers[name]):
            (name, *_) = takers[name][0].outputs
        return name

    names = dict.fromkeys(name for node in nodes for name in (*node.inputs, *node.outputs))
    return {name: follow(name) for name in names}


def without_batch_norms(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes, each layer merged with a batch norm that is its only consumer: quantizers fold these."""
    nodes = tuple(nodes)
    takers = Counter(name for node in nodes for name in node.inputs)
    makers = {output: node for node in nodes for output in node.outputs}
    changed: dict[int, Node] = {}
    for node in nodes:
        layer = makers.get(node.inputs[0]) if node.kinds == ("batch_norm",) and node.inputs else None
        if layer and layer.weights and len(layer.kinds) == 1 and takers[node.inputs[0]] == 1:
            changed[id(layer)] = replace(layer, kinds=(), weights=0)
            changed[id(node)] = replace(node, kinds=layer.kinds, weights=layer.weights, shapes=layer.shapes)
    return tuple(changed.get(id(node), node) for node in nodes)
