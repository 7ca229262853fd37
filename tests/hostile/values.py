"""Strategies: JSON values of every type and size, damage to records and arrays, budgets, words of command lines."""

import copy
import io
import json
import os
import re
import zipfile
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from device_tests.gates.budgets import METRICS
from device_tests.results.measurement import OUTCOMES
from tests.conftest import zipped

RAW = ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 400, "-0", "1e-400", "0.1e1", "1E400")
NASTY = (
    "", " ", "\x00", "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202egpj.exe", "\u2066", "\r\nforged: pass", "\u2028", "\x7f",
    "<script>alert(1)</script>", "</script><script>", "[here](http://a.invalid)", "![](http://a.invalid/x.png)", "@name",
    "[red]markup[/]", "[/]", "[link=http://a.invalid]", "{{ 7 * 7 }}", "{% raw %}", "%s%n", "$(touch x)", "`id`", "| a | b |",
    "../../etc/passwd", "/dev/full", "/proc/self/mem", "~", "*", "]]>", "&lt;", "::error::x", "\ud800", "x" * 5_000, "é" * 300,
    "nan", "1e999", "true", "null", "2026-01-02T03:04:05+00:00", "2026-99-99T99:99:99+00:00", "0" * 64, "日本", "🙂",
)  # fmt: skip

texts = st.sampled_from(NASTY) | st.sampled_from(OUTCOMES) | st.text(max_size=20)
numbers = (
    st.integers(-3, 3)
    | st.sampled_from((10, 59, 60, 61, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63)))
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from((0.5, -0.0, 1e300, 5e-324, 1.7e308))
)
raw = st.sampled_from(RAW).map(lambda token: f"@raw {token}@")
leaves = st.none() | st.booleans() | numbers | texts | raw
values = st.recursive(
    leaves, lambda some: st.lists(some, max_size=3) | st.dictionaries(texts, some, max_size=3), max_leaves=6
)


def dumped(content: Any) -> bytes:
    """Return JSON in which raw tokens stand as they are, which JSON may not have."""
    return re.sub(r'"@raw ([^"@]*)@"', r"\1", json.dumps(content)).encode()


def _places(content: Any, path: tuple = ()) -> list[tuple]:
    paths = [path]
    several = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in several:
        paths += _places(value, (*path, key))
    return paths


def _near(value: Any) -> st.SearchStrategy:
    """Values that could pass for the one that is there."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.sampled_from((0, 1, -1, value + 1, value - 1, 2 * value, -value, float(value), value + 0.5))
    if isinstance(value, float):
        return st.sampled_from((0.0, -value, value / 2, value * 2, value * 1.05, value * 0.95, int(value)))
    if isinstance(value, str):
        return st.sampled_from((*OUTCOMES, "", value + " ", value.upper(), value[::-1], f"{value}{NASTY[3]}"))
    if isinstance(value, list):
        return st.sampled_from(([], value[:-1], value + value, value[::-1], [value]))
    if isinstance(value, dict):
        return st.sampled_from(({}, [value], {**value, "more": 1}))
    return values


@st.composite
def changed(draw: st.DrawFn, content: Any) -> bytes:
    """JSON of which one to three values are others, are gone, are there twice or have another name."""
    content = copy.deepcopy(content)
    twice = None
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        places = _places(content)
        if isinstance(content, dict) and content and draw(st.integers(0, 3)):  # as often in each part of a record
            key = draw(st.sampled_from(sorted(content)))
            places = _places(content[key], (key,))
        place = draw(st.sampled_from(places))
        if not place:
            content = draw(values)
            continue
        *way, last = place
        holder = reduce(getitem, way, content)
        what = draw(st.sampled_from(("value", "value", "near", "near", "near", "drop", "rename", "twice")))
        if what in ("value", "near"):
            holder[last] = draw(values if what == "value" else _near(holder[last]))
        elif what == "drop" or isinstance(holder, list):
            del holder[last]
        elif what == "rename":
            holder[draw(texts)] = holder.pop(last)
        else:
            twice = (last, draw(values))
    encoded = dumped(content)
    if twice and isinstance(content, dict) and content:
        encoded = b"{" + dumped(twice[0]) + b": " + dumped(twice[1]) + b", " + encoded[1:]
    return encoded


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are cut, flipped, mixed with what is no UTF-8, nested without end, or something else altogether."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    kind = draw(st.sampled_from(("cut", "flip", "latin", "nul", "deep", "noise", "empty", "bom", "text", "zeros")))
    return {
        "cut": content[:at],
        "flip": content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :] if content else b"",
        "latin": content[:at] + b"\xff\xfe\xc3" + content[at:],
        "nul": content[:at] + b"\x00" + content[at:],
        "deep": draw(st.sampled_from((b"[", b'{"a":', b'[{"environment":'))) * 60_000,
        "noise": draw(st.binary(max_size=60)),
        "empty": b"",
        "bom": b"\xef\xbb\xbf" + content,
        "text": dumped(draw(values)),
        "zeros": bytes(len(content)),
    }[kind]


KINDS = ("folder", "FIFO", "no file", "link to nothing", "link to itself", "link to a device", "link to its folder")


def replaced(file: Path, kind: str) -> None:
    """Put something that is no regular file in the place of a file."""
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "FIFO":
        os.mkfifo(file)
    elif kind != "no file":
        targets = {"link to nothing": "nothing", "link to itself": file.name, "link to a device": "/dev/zero"}
        file.symlink_to(targets.get(kind, "."))


def record(content: bytes) -> st.SearchStrategy[bytes | str]:
    """Another content of a record, or the kind of what stands in its place."""
    several = changed(json.loads(content))
    return several | several | several | damaged(content) | st.sampled_from(KINDS)


def put(file: Path, new: bytes | str) -> None:
    """Replace a file by another content, or by what is no regular file."""
    if isinstance(new, str):
        replaced(file, new)
    else:
        file.write_bytes(new)


def _npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


DTYPES = ("<f4", ">f4", "<f8", "<f2", "<i4", "|u1", "<c8", "|b1", "<U3", "|O", "<M8[s]", "|V4")
SHAPES = ((60, 10), (60, 9), (60, 0), (0, 10), (61, 10), (59, 10), (600,), (60, 10, 1), (1, 1), ())
arrays = st.builds(
    lambda dtype, shape, fill: _npy(np.full(shape, fill).astype(dtype)),
    st.sampled_from(DTYPES), st.sampled_from(SHAPES), st.sampled_from((0, 1, 3)),
)  # fmt: skip
floats = st.sampled_from((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, 1e9))


@st.composite
def logits(draw: st.DrawFn, content: bytes) -> bytes | str:
    """Another .npy than the one that is there."""
    kind = draw(st.sampled_from(("array", "value", "value", "huge", "bytes", "kind")))
    if kind == "array":
        return draw(arrays)
    if kind == "value":
        array = np.load(io.BytesIO(content))
        array[draw(st.integers(0, len(array) - 1)), draw(st.integers(0, array.shape[1] - 1))] = draw(floats)
        return _npy(array)
    if kind == "huge":  # a header that promises more than there is
        shape = draw(st.sampled_from((b"(99999999, 10)", b"(60, 99999999)", b"(-1, 10), ", b"(60, 10,)*9999")))
        return content.replace(b"(60, 10)", shape)
    return draw(damaged(content)) if kind == "bytes" else draw(st.sampled_from(KINDS))


@st.composite
def reference(draw: st.DrawFn, content: bytes) -> bytes | str:
    """Another .npz than the reference that is there."""
    kind = draw(st.sampled_from(("array", "array", "drop", "more", "bytes", "bytes", "kind")))
    if kind in ("bytes", "kind"):
        return draw(damaged(content) if kind == "bytes" else st.sampled_from(KINDS))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    if kind == "array":
        members[name] = draw(
            arrays | damaged(members[name]) | texts.filter(lambda text: "\ud800" not in text).map(np.array).map(_npy)
        )
    elif kind == "drop":
        del members[name]
    else:
        members[draw(st.sampled_from(("more.npy", "../../out.npy", "x", "self.npy")))] = members[name]
    return zipped(io.BytesIO(), members).getvalue()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str) and value.startswith("@raw"):
        return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(value[5:-1], value[5:-1])
    return '""' if value is None else json.dumps(value, ensure_ascii=False)


def budgets(ids: list[str]) -> st.SearchStrategy[bytes]:
    """Content of a budgets.toml: rows that make sense, rows that do not, and what is no TOML."""
    globs = st.sampled_from((*ids, "*", "*@onnxruntime@*", "*-int8@*", "*@cortex-a53")) | texts
    metric = st.sampled_from(tuple(METRICS)) | texts
    limits = st.sampled_from((0, 1, 0.5, 0.99, 1e6, -1, 1e300)) | numbers | raw
    row = st.fixed_dictionaries(
        {"ids": st.lists(globs, min_size=1, max_size=2), "metric": metric, "why": st.just("measured") | texts},
        optional={"min": limits, "max": limits, "is": st.sampled_from(OUTCOMES) | values, "required": st.booleans()},
    )
    sense = st.builds(
        lambda ids, metric, side, limit: {"ids": ids, "metric": metric, side: limit, "why": "measured"},
        st.lists(st.sampled_from((*ids, "*")), min_size=1, max_size=2, unique=True),
        st.sampled_from(tuple(name for name in METRICS if name != "outcome")),
        st.sampled_from(("min", "max")), st.sampled_from((0, 1, 0.5, 1e6)),
    )  # fmt: skip
    odd = st.dictionaries(st.sampled_from(("ids", "metric", "why", "min", "max", "is", "required", "x")), values)
    kinds = st.sampled_from(("budget",) * 8 + ("missing", "other"))
    rows = st.lists(st.tuples(kinds, sense | sense | sense | row | odd), max_size=4)
    plain = rows.map(_written)
    return plain | plain | plain.flatmap(damaged)


def _written(tables: list[tuple[str, dict[str, Any]]]) -> bytes:
    lines = []
    for kind, table in tables:
        lines += [f"[[{kind}]]", *(f"{json.dumps(name)} = {_toml(value)}" for name, value in table.items()), ""]
    return "\n".join(lines).encode(errors="surrogatepass")


WORDS = (
    "", " ", "-", "--", "-1", "0", "1", "2", "nan", "inf", "-inf", "1e300", "1e999", "99999999999999999999", "0x10", "1_0", "NaN",
    "x" * 300, "x" * 5_000, "a\x00b", "\x1b[2J", "\u202e", "\n", "é", "日本", "/proc/x", "/proc/self/mem", "/dev/full", "/dev/null",
    "/nonexistent/deep/er", "results", "budgets.toml", "budgets.toml/x", "artifacts", "report", "baseline.json", "page.json",
    "page.json/", ".", "..//project", "./-dash", "new/folder", "*", "[", "[!", "**", "*@*@*", "*-int8", "*-int8@*", "desktop", "cortex-a53",
    "browser:firefox", "browser:", "android:", "android:x y", "ssh:", "ssh:-oProxyCommand=x", "ssh:a@b", "onnxruntime", "litert",
    "torch", "HEAD", "--help", "@file", "~", "$HOME", "%s", "mnist", "digits",
)  # fmt: skip
words = st.sampled_from(WORDS) | st.text(max_size=8)
