"""Start and stop the local stack. It survives its terminal; `down` also finds what a killed one left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import psutil
import psycopg2

from liber_tasks.config import ROOT
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.local.airflow_api import AirflowApi
from liber_tasks.local.environment import LOOPBACK, MARKER, Stack
from liber_tasks.local.processes import init_liber
from liber_tasks.types import Progress, silent

START_SECONDS = 600
PORT_SECONDS = 3
PROCFILE = str(ROOT / "infra" / "Procfile")
LLM_POOL = "llm"


def up(stack: Stack, progress: Progress = silent) -> bool:
    """Start every service and wait until each answers.

    Returns:
        True when this call started the stack, False when it was up already.

    Raises:
        InputError: a port is taken by another program; names the setting.
        ServiceUnavailable: a service ended or did not answer in time; names it and the log.
    """
    if is_up(stack):
        return False
    down(stack)
    checks = _checks(stack)
    for name, port in stack.ports.items():
        if not _becomes_free(port):
            raise InputError(
                f"Port {port} ({name}) is used by another program: stop it or set LIBER_PORT_{name.upper()}."
            )
    stack.write()
    with stack.log.open("wb") as log:
        manager = subprocess.Popen(
            [sys.executable, "-m", "honcho", "--no-colour", "-e", os.devnull, "-f", PROCFILE, "start"],
            env=stack.environment(), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await(stack, checks, manager, progress)
        api = AirflowApi.of(stack)
        api.ensure_pool(LLM_POOL, stack.settings.llm_in_flight, "LLM calls in flight")
        api.close()
        stack.is_up.touch()
    except BaseException:
        down(stack)
        raise
    return True


def is_up(stack: Stack) -> bool:
    """Whether every service of this stack answers."""
    return bool(members(stack)) and all(_holds(check) for check in _checks(stack).values())


def down(stack: Stack) -> int:
    """Stop every process of the stack, the manager first; number of processes stopped."""
    stack.is_up.unlink(missing_ok=True)
    found = members(stack)
    managers = [process for process in found if "honcho" in _command(process)]
    _signal(managers or found, signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=20)
    # PostgreSQL takes SIGINT for a fast shutdown; SIGTERM would wait for its clients.
    _signal(alive, signal.SIGINT)
    _, alive = psutil.wait_procs(alive, timeout=5)
    _signal(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)
    return len(found)


def memory_mb(stack: Stack) -> float:
    """Proportional set size of the whole stack: shared pages count once."""
    return sum(process.memory_full_info().pss for process in members(stack)) / 2**20


def _await(
    stack: Stack, checks: dict[str, Callable[[], bool]], manager: subprocess.Popen[bytes], progress: Progress
) -> None:
    waiting = dict(checks)
    deadline = time.monotonic() + START_SECONDS
    while waiting:
        for name in [name for name, check in waiting.items() if _holds(check)]:
            if name == "postgres":
                init_liber(stack)
            del waiting[name]
            progress(len(checks) - len(waiting), len(checks), f"{name} is up")
        if manager.poll() is not None:
            raise ServiceUnavailable(f"The local stack stopped: {_reason(stack)} (log: {stack.log}).")
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Not up after {START_SECONDS} s: {', '.join(waiting)} (log: {stack.log}).")
        time.sleep(0.2)


def _checks(stack: Stack) -> dict[str, Callable[[], bool]]:
    urls = stack.urls

    def postgres() -> bool:
        for name in ("liber", "airflow", "mlflow"):
            psycopg2.connect(stack.database_url(name), connect_timeout=2).close()
        return True

    def answers(url: str) -> Callable[[], bool]:
        return lambda: httpx.get(url, timeout=5, trust_env=False).is_success

    def airflow() -> bool:
        health = httpx.get(f"{urls['airflow']}/api/v2/monitor/health", timeout=5, trust_env=False).json()
        return all(
            health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")
        )

    return {
        "postgres": postgres,
        "llm": answers(f"{urls['llm']}/health"),
        "llm-2": answers(f"{urls['llm_2']}/health"),
        "mlflow": answers(f"{urls['mlflow']}/health"),
        "airflow": airflow,
        "dashboard": answers(f"{urls['dashboard']}/_stcore/health"),
    }


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (httpx.HTTPError, psycopg2.OperationalError, KeyError, ValueError):
        return False


def _becomes_free(port: int) -> bool:
    """Whether nobody listens; a process just killed holds its port a moment longer."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((LOOPBACK, port)) != 0:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def members(stack: Stack) -> list[psutil.Process]:
    """Processes that carry this stack's marker, whoever their parent is now; never this one or its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(MARKER) == str(stack.var):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def _reason(stack: Stack) -> str:
    """The line of the log that says which process ended first."""
    lines = stack.log.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines):
        if "stopped (rc=" in line:
            name = line.split("|")[-1].split()[0]
            said = [before.split("|", 1)[-1].strip() for before in lines[:number] if f"{name} " in before.split("|")[0]]
            return f"{name} ended{': ' + said[-1] if said else ''}"
    return "no process said why"
