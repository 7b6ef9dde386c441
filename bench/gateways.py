"""What is measured: Trunkline with every policy on, and nginx with none beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from bench.question import ANSWER
from tests.path import exchange

from bench import machine

KEY = "sk-bench"
BRIDGED = "bridged"
"""The model behind which the paced upstream speaks Anthropic's dialect."""
KEY_UNIT = "finance"
LIVE_WITHIN = 20.0


class Gateway(msgspec.Struct, frozen=True):
    """A running gateway. `plain` and `paced` are the ports, `*_model` the names, that lead to the two upstreams.

    `bridged_model` leads to the paced one in another dialect, where the gateway can.
    """

    name: str
    pid: int
    plain: int
    paced: int
    plain_model: str
    paced_model: str
    key: str
    bridged_model: str = ""


class Upstreams(msgspec.Struct, frozen=True):
    """The ports of the two fake upstreams."""

    plain: int
    paced: int


def _nginx_http(folder: Path, servers: str, *, upstreams: str = "") -> str:
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{upstreams}{servers}}}
"""


def _proxy(name: str, listen: int) -> str:
    return f"""  server {{
    listen 127.0.0.1:{listen} backlog=2048;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://{name};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-vendor-secret";
      proxy_buffering off;
    }}
  }}
"""


def await_port(port: int, process: subprocess.Popen[bytes], within: float = LIVE_WITHIN) -> None:
    """Return once somebody answers HTTP on the port.

    Raises:
        RuntimeError: when the process ends first, or takes too long.
    """
    until = time.monotonic() + within
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), machine.dialled(port):
            return
        time.sleep(0.005)
    raise RuntimeError(f"nothing listens on port {port}: {process.args!r}")


@contextlib.contextmanager
def fake_upstreams(folder: Path) -> Iterator[Upstreams]:
    """Run both fake upstreams on the load's core: an nginx that returns one body, and the paced streams."""
    ports = Upstreams(machine.free_port(), machine.free_port())
    folder.mkdir(parents=True)
    conf = folder / "nginx.conf"
    server = f"  server {{ listen 127.0.0.1:{ports.plain} backlog=2048; location / {{ return 200 '{ANSWER}'; }} }}\n"
    conf.write_text(_nginx_http(folder, server))
    plain = [machine.find("nginx"), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    paced = [sys.executable, "-m", "bench.upstream", str(ports.paced)]
    with machine.running(machine.LOAD_CORE, plain) as one, machine.running(machine.LOAD_CORE, paced) as other:
        await_port(ports.plain, one)
        await_port(ports.paced, other)
        yield ports


@contextlib.contextmanager
def nginx(folder: Path, upstreams: Upstreams) -> Iterator[Gateway]:
    """Run nginx as a reverse proxy on the gateway's core: one worker, kept connections, no buffers, one key."""
    plain, paced = machine.free_port(), machine.free_port()
    folder.mkdir(parents=True)
    conf = folder / "nginx.conf"
    pools = "".join(
        f"  upstream {name} {{ server 127.0.0.1:{port}; keepalive 1100; keepalive_requests 1000000000; }}\n"
        for name, port in (("plain", upstreams.plain), ("paced", upstreams.paced))
    )
    keys = f'  map $http_authorization $known {{ default 0; "Bearer {KEY}" 1; }}\n'
    conf.write_text(_nginx_http(folder, _proxy("plain", plain) + _proxy("paced", paced), upstreams=keys + pools))
    command = [machine.find("nginx"), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    with machine.running(machine.GATEWAY_CORE, command) as process:
        await_port(plain, process)
        await_port(paced, process)
        yield Gateway("nginx", process.pid, plain, paced, "plain", "paced", KEY)


BOUNDLESS = 1_000_000_000
POLICIES: Mapping[str, Mapping[str, object]] = {
    "three hard budgets": {
        "budgets": [
            {"on": on, "per": per, "amount": BOUNDLESS, "hard": True}
            for on, per in (({"unit": "acme"}, "month"), ({"unit": KEY_UNIT}, "month"), ({"use_case": "plain"}, "day"))
        ]
    },
    "a unit's requests and tokens a minute": {
        "limits": [{"on": {"unit": KEY_UNIT}, "rpm": BOUNDLESS, "tpm": BOUNDLESS}]
    },
    "the provider's quota": {"quota": {"rpm": BOUNDLESS, "tpm": BOUNDLESS}},
}
"""What a request is held to beside its key and its data class; nothing of it is ever used up."""


def declared(upstreams: Upstreams, policies: Collection[str] = POLICIES.keys()) -> dict[str, Any]:
    """Return the estate that is measured: nested units, a data class with requirements, budgets, limits, a quota."""
    timeouts = {"between": 60, "total": 600}
    deployments = {
        name: exchange.deployment(f"http://127.0.0.1:{port}/v1", timeouts=timeouts)
        for name, port in (("plain", upstreams.plain), ("paced", upstreams.paced))
    }
    deployments[BRIDGED] = deployments["paced"] | {"dialect": "anthropic"}
    made = exchange.estate(deployments, {name: [[name]] for name in deployments})
    made["use_cases"][BRIDGED]["uncarried"] = "drop"  # of the request, only the pace, which that upstream has by itself
    parts = {section: value for name in policies for section, value in POLICIES[name].items()}
    if quota := parts.pop("quota", None):
        made["boundaries"]["vendor"]["quota"] = quota
    return made | parts


@contextlib.contextmanager
def trunkline(
    folder: Path,
    upstreams: Upstreams,
    *,
    workers: int = 1,
    prefix: tuple[str, ...] = (),
    policies: Collection[str] = POLICIES.keys(),
) -> Iterator[Gateway]:
    """Run Trunkline on the gateway's core, which all its workers share."""
    options = ("--no-engine", "--workers", str(workers))
    with machine.pinned_children(machine.GATEWAY_CORE):
        running = exchange.start(folder, declared(upstreams, policies), *options, prefix=prefix)
    try:
        key = running.key(KEY_UNIT)
        name = "trunkline" if workers == 1 else f"{workers} workers"
        yield Gateway(name, running.process.pid, running.port, running.port, "plain", "paced", key, BRIDGED)
    finally:
        exchange.stop(running)


def start_up(folder: Path, upstreams: Upstreams) -> float:
    """Return the seconds from the start of the process to `/readyz`, on a fresh data folder."""
    began = time.perf_counter()
    running = exchange.start(folder, declared(upstreams))
    took = time.perf_counter() - began
    exchange.stop(running)
    return took
