"""Running clients written in Python and JavaScript against tickwire, for tests/clients and
tests/interop, which say what each client does and share one installation of their packages.

Needs Python 3.9, Node 20.10 with npm and, for Chromium, a browser (variable CHROMIUM; default
/usr/bin/chromium). Invariant: it ends only what it started, and exits 0 only if every client
asked for passed.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from program import ROOT, Failure, build, child, exit_on_signals, exit_text, running

# Where the packages are named, and the script that starts Chromium is.
SHARED = ROOT / "tests" / "clients"


@dataclass(frozen=True)
class Suite:
    """Clients to run, one after another, and the server that all of them talk to."""

    name: str
    description: str
    # tickwire's subcommand and its arguments.
    server: tuple
    # Each script is called with a client's name and the base URL; its last line says the result.
    python_script: Path
    python_clients: tuple
    node_script: Path
    node_clients: tuple
    # For one client, its start included.
    seconds_max: int
    # Clients whose packages take hundreds of megabytes: they run when they are named, or all are.
    python_more: tuple = ()

    @property
    def clients(self):
        return self.python_clients + self.node_clients

    @property
    def all_clients(self):
        return self.clients + self.python_more


def main(suite):
    options = parse_options(suite)
    exit_on_signals()
    try:
        usual = suite.all_clients if options.all else suite.clients
        commands = prepare(suite, options.client or usual)
        with contextlib.ExitStack() as stack:
            if options.url:
                server, base = None, options.url.rstrip("/")
            else:
                command = (options.binary or build(), *suite.server)
                server, port = stack.enter_context(running(*command))
                base = f"ws://127.0.0.1:{port}"
            failed = [name for name, command in commands.items()
                      if not passes(name, [*command, name, base], suite.seconds_max)]
            if server and server.poll() is not None:
                raise Failure(f"the server ended, {exit_text(server.returncode)}")
    except KeyboardInterrupt:
        print(f"{suite.name}: interrupted", file=sys.stderr)
        return 130
    except (Failure, OSError, subprocess.CalledProcessError) as error:
        print(f"{suite.name}: {error}", file=sys.stderr)
        return 1
    print(f"{suite.name}: {len(commands) - len(failed)} of {len(commands)} passed")
    return 1 if failed else 0


def parse_options(suite):
    parser = argparse.ArgumentParser(description=suite.description)
    parser.add_argument("client", nargs="*",
                        help=f"only these (default: {', '.join(suite.clients)})")
    more = f": {', '.join(suite.python_more)} as well" if suite.python_more else ""
    parser.add_argument("--all", action="store_true", help=f"all that there are{more}")
    parser.add_argument("--url", help="test a server that is already running, at ws://HOST:PORT")
    parser.add_argument("--binary", type=Path, help="this tickwire, instead of a release build")
    options = parser.parse_args()
    for name in options.client:
        if name not in suite.all_clients:
            parser.error(f"no such client: {name}")
    return options


def passes(name, command, seconds_max):
    """Runs one client and prints its line; what else it wrote is shown only when it fails."""
    start = time.monotonic()
    with child(command, text=True, errors="replace",
               stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        try:
            output, _ = client.communicate(timeout=seconds_max)
            verdict = "ok" if client.returncode == 0 else "FAILED"
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode(errors="replace")
            output += f"\nfailed: not done within {seconds_max} s"
            verdict = "FAILED"
    lines = output.strip().splitlines()
    seconds = time.monotonic() - start
    print(f"{name:<30}{verdict:<6}{seconds:5.1f} s  {lines[-1] if lines else ''}", flush=True)
    if verdict != "ok":
        print("".join(f"    {line}\n" for line in lines[:-1]), end="", flush=True)
    return verdict == "ok"


def prepare(suite, names):
    """Installs what the clients need; returns {name: command that takes a name and a base URL}."""
    cache = Path(os.environ.get("CLIENTS_CACHE") or SHARED / ".cache").resolve()
    commands = {}
    for clients, folder, *requirements in (
        (suite.python_clients, "python", "requirements.txt"),
        (suite.python_more, "python-more", "requirements.txt", "requirements-more.txt"),
    ):
        if set(names) & set(clients):
            python = prepare_python(cache / folder, requirements)
            commands |= {name: [python, suite.python_script] for name in clients}
    if set(names) & set(suite.node_clients):
        node = prepare_node(cache, suite.node_script)
        commands |= {name: node for name in suite.node_clients}
    return {name: commands[name] for name in names}


def prepare_python(folder, requirements):
    """A virtual environment with what these files name, made anew when one of them changes."""
    wanted = [SHARED / name for name in requirements]
    with installation(folder, *wanted) as target:
        if target:
            subprocess.run([sys.executable, "-m", "venv", target], check=True)
            files = [argument for file in wanted for argument in ("-r", file)]
            subprocess.run([target / "bin" / "pip", "install", "--quiet", *files], check=True)
    return folder / "bin" / "python"


def prepare_node(cache, script):
    """A directory with package.json's packages; no lock file, which would name a registry."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise Failure(f"{' and '.join(missing)} missing: install Node 20.10 or newer, with npm")
    wanted = SHARED / "package.json"
    with installation(cache / "node", wanted) as target:
        if target:
            target.mkdir(parents=True)
            shutil.copy(wanted, target)
            subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund",
                            "--silent"], cwd=target, check=True, stdin=subprocess.DEVNULL)
    # Node resolves packages from the script's own place, so the scripts go where they are.
    for module in (*SHARED.glob("*.mjs"), script):
        shutil.copy(module, cache / "node")
    script = cache / "node" / script.name
    probe = "process.exit(typeof WebSocket === 'function' ? 0 : 1)"
    has_websocket = subprocess.run(["node", "-e", probe], check=False).returncode == 0
    return ["node", *([] if has_websocket else ["--experimental-websocket"]), script]


@contextlib.contextmanager
def installation(target, *wanted):
    """Yields `target`, emptied, when it is not a complete installation of `wanted`; else None."""
    complete = target / "complete"
    text = "".join(file.read_text() for file in wanted)
    if complete.exists() and complete.read_text() == text:
        yield None
        return
    print(f"installing {' and '.join(file.name for file in wanted)} into {target}", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    yield target
    # Written last, so an interrupted installation is made anew.
    complete.write_text(text)
