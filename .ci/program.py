"""Building tickwire and running it on loopback, for the checks that are written in Python.

Invariant: it ends only processes that it started, each with all that this one started.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LISTEN_SECONDS_MAX = 15
STOP_SECONDS_MAX = 5


class Failure(Exception):
    """Something that ends a check, told to a person: what was wrong and what to do."""


def exit_on_signals():
    """Makes SIGTERM and SIGHUP unwind like Ctrl-C, so that children are ended."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))


def build():
    """Builds the release program and returns its path."""
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "tickwire"


@contextlib.contextmanager
def running(binary, subcommand, *arguments, **options):
    """Runs a subcommand on a free loopback port until it listens; yields its process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, subcommand, "--listen", f"127.0.0.1:{port}", *arguments]
    with child(command, **options) as server:
        wait_until_listening(server, port)
        yield server, port


@contextlib.contextmanager
def child(command, **options):
    """A process with a group of its own, so that it and all that it starts can be ended."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            # A leader that was reaped gives its number back: never signal after that.
            if process.poll() is not None:
                break
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS_MAX)


def wait_until_listening(server, port):
    deadline = time.monotonic() + LISTEN_SECONDS_MAX
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Failure(f"the server ended at once, {exit_text(server.returncode)}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise Failure(f"the server did not listen on port {port} within {LISTEN_SECONDS_MAX} s")


def exit_text(code):
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
