"""LiteLLM's proxy in an environment of its own, for who asks for it: another Python gateway on the same core."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from bench.gateways import KEY, Gateway, Upstreams, await_port

from bench import machine

ENVIRONMENT = machine.ROOT / ".cache" / "litellm"
WANTED = "litellm[proxy]!=1.107.0,!=1.82.7,!=1.82.8"
INSTALL_WITHIN = 900.0  # seconds
READY_WITHIN = 120.0  # seconds
MODEL = "plain"


class NotInstalled(Exception):
    """It cannot be had on this machine; the message says why."""


class Peer(msgspec.Struct, frozen=True):
    """LiteLLM running, and the seconds from its start until it listened."""

    gateway: Gateway
    ready: float


def install(environment: Path = ENVIRONMENT, wanted: str = WANTED) -> Path:
    """Return the command, installed into an environment of its own unless it is there already.

    Raises:
        NotInstalled: the environment cannot be made, or the package index does not give it.
    """
    command = environment / "bin" / "litellm"
    if command.exists():
        return command
    environment.parent.mkdir(parents=True, exist_ok=True)
    steps = (
        [sys.executable, "-m", "venv", str(environment)],
        [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", wanted],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_WITHIN, check=False)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise NotInstalled(f"LiteLLM cannot be installed: {fault}") from fault
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise NotInstalled(f"LiteLLM cannot be installed: {last}")
    if not command.exists():
        raise NotInstalled(f"LiteLLM cannot be installed: {wanted} brought no command {command.name}")
    return command


def configured(upstreams: Upstreams) -> dict[str, object]:
    """Return its configuration: one model at the fake upstream, one key, no logs of requests."""
    return {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": "openai/bench",
                    "api_base": f"http://127.0.0.1:{upstreams.plain}/v1",
                    "api_key": "sk-vendor-secret",
                },
            }
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False, "set_verbose": False},
    }


@contextlib.contextmanager
def litellm(folder: Path, upstreams: Upstreams) -> Iterator[Peer]:
    """Run it on the gateway's core, one worker.

    Raises:
        NotInstalled: it cannot be installed, or does not start.
    """
    command = install()
    folder.mkdir(parents=True)
    path = folder / "config.yaml"
    path.write_text(json.dumps(configured(upstreams)))
    port = machine.free_port()
    run = [str(command), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    variables = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    log = folder / "litellm.log"
    began = time.perf_counter()
    with log.open("wb") as out, machine.running(machine.GATEWAY_CORE, run, stdout=out, env=variables) as process:
        try:
            await_port(port, process, within=READY_WITHIN)
        except RuntimeError as fault:
            raise NotInstalled(f"LiteLLM does not start: {log.read_text()[-400:] or fault}") from fault
        ready = time.perf_counter() - began
        yield Peer(Gateway("LiteLLM", process.pid, port, port, MODEL, MODEL, KEY), ready)
