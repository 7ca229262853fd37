"""Asks an engine about a file, through the program _engine_graph.py in the engine's own environment."""

import io
import json
import struct
import subprocess
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain import _engine_graph
from device_tests.measure.explain.compare import Values
from device_tests.transport.deadline import deadline
from export.isolated import ENVIRONMENTS
from models.common import environments, processes
from models.common.errors import EdgewiseError

TIMEOUT_S = 300.0  # for one answer, the engine's import included
_LONGEST = 1 << 30  # bytes of one


class Engine:
    """A process in the engine's environment with one file open; it ends with this object."""

    def __init__(self, name: str, file: Path) -> None:
        python = environments.python(ENVIRONMENTS[name], install=f"nox -s 'device_tests({name})' -- --only '*-float32'")
        # -P: the modules beside the program would shadow libraries' names
        command = [str(python), "-P", _engine_graph.__file__, name, str(file.resolve())]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        # a group of its own, so that it can be killed with all that it started
        self._process = subprocess.Popen(command, **pipes, start_new_session=True)
        self._failure = f"{name} cannot show {file.name}"
        weakref.finalize(self, processes.kill, self._process)

    def arrays(self, verb: str, given: Values | None = None) -> Values:
        """Return the arrays of a reply by the tensors' names; raises EdgewiseError where the engine fails."""
        return self._ask(verb, given or {})[1]

    def described(self, verb: str) -> tuple[Any, Values]:
        """Return the JSON of a reply and the arrays beside it; raises EdgewiseError where the engine fails."""
        reply, arrays = self._ask(verb, {})
        return json.loads(str(reply["json"])), arrays

    def _ask(self, verb: str, given: Values) -> tuple[Values, Values]:
        """Return a reply's own fields, and its arrays by the tensors' names."""
        content = io.BytesIO()
        np.savez(content, verb=np.array(verb), **{f":{name}": value for name, value in given.items()})
        size, answer = 0, b""
        with deadline(self._process, TIMEOUT_S), suppress(OSError):  # an OSError says that it has died
            self._process.stdin.write(struct.pack("<Q", content.tell()) + content.getvalue())
            self._process.stdin.flush()
            head = self._process.stdout.read(8)
            size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            answer = self._process.stdout.read(size) if 0 < size < _LONGEST else b""
        if not answer or len(answer) < size:
            processes.kill(self._process)
            raise EdgewiseError(f"{self._failure}: its process {processes.death(self._process.wait())}")
        with np.load(io.BytesIO(answer), allow_pickle=False) as reply:
            fields = dict(reply)
        if "error" in fields:
            raise EdgewiseError(f"{self._failure}: {str(fields['error'])[:300]}")
        return fields, {name[1:]: value for name, value in fields.items() if name[0] == ":"}
