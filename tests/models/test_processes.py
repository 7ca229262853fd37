"""How processes ended, in words."""

from __future__ import annotations

import pytest

from models import processes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (3, "ended with exit code 3"),
        (128 + 11, "killed by SIGSEGV"),
        (128 + 40, "ended with exit code 168"),  # a real-time signal, which has no name
        (255, "ended with exit code 255"),
    ],
)
def test_a_shells_exit_code_is_said(code, message):
    assert processes.death(processes.from_shell(code)) == message
