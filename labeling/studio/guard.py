"""Runs a command and ends it when the process that asked for it is gone, however that ended.

Run as a script, ``guard.py PARENT COMMAND…``, by any Python: it imports the standard library only. It watches whether
its parent is still PARENT. The kernel's own signal for this (PR_SET_PDEATHSIG) is tied to the thread that started the
child, and would end a server that a short-lived thread started.
"""

import os
import signal
import subprocess
import sys
import time

INTERVAL = 0.1  # seconds between two looks at the parent
PATIENCE = 10.0  # seconds that the command has to end by itself


def main(parent: int, command: list[str]) -> int:
    """Run a command until it ends, and end it when the parent is gone; return its exit code.

    SIGTERM ends it as SIGTERM would, SIGUSR1 at once. Our end is the command's end, so that whoever waits for us knows
    that its port and files are free.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: told.append(number))
    child = subprocess.Popen(command)  # noqa: S603 - what our own caller asks for
    while child.poll() is None and not told and os.getppid() == parent:
        time.sleep(INTERVAL)
    if signal.SIGUSR1 not in told:
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            told.append(signal.SIGUSR1)
    if signal.SIGUSR1 in told:
        child.kill()
    code = child.wait()
    return code if code >= 0 else 128 - code  # as a shell says that a signal ended it


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
