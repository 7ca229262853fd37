"""Runs artifacts in children of one process, which has started their runtime: a framework takes seconds to import.

A crash, a hang or an artifact that wants all memory ends a child only. It says in one line of JSON that the runtime has
started, or why not. Then each line on stdin, `{"artifact": PATH}`, is answered with the worker's reply, and with the child's `seconds` and `peak_rss_bytes`, in which the runtime is contained.
"""

import json
import os
import signal
import sys
import time
import traceback

from device_tests.onboard import worker
from models.common import processes

LIMIT_S = 60  # of a child's life


def main() -> None:
    answer = os.fdopen(os.dup(1), "w", buffering=1)  # libraries print what they like to fd 1
    os.dup2(2, 1)
    options, reply = worker.parse(), worker.Reply()
    try:
        runtime = worker.start(options, reply)
    except worker.Failed as failure:
        reply.outcome, reply.reason = failure.outcome, failure.reason
    print(reply.line(), file=answer)
    if reply.outcome == "ok":
        for line in sys.stdin:
            print(json.dumps(measure(json.loads(line)["artifact"], runtime)), file=answer)


def measure(artifact: str, runtime) -> dict:
    """Return the row of one artifact, whatever it does."""
    began = time.perf_counter()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(writing, 1)
            signal.alarm(LIMIT_S)
            sys.argv += ["--artifact", artifact]
            worker.main(runtime)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # on no path into what the parent does
    os.close(writing)
    with os.fdopen(reading) as pipe:
        reply = pipe.read()
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGALRM:
        row = {"outcome": "timed_out", "reason": f"no answer in {LIMIT_S} s"}
    elif code:
        row = {"outcome": "run_failed", "reason": processes.death(code)}
    else:
        row = json.loads(reply)
    taken = {"seconds": round(time.perf_counter() - began, 3), "peak_rss_bytes": usage.ru_maxrss * 1024}
    return row | taken


if __name__ == "__main__":
    main()
