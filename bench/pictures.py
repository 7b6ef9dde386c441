"""One request with a large picture: how often its bytes stand in memory at the worst moment."""

from __future__ import annotations

import base64
import http.client
import json
from pathlib import Path

from bench.gateways import Gateway

PICTURE = 7_500_000  # bytes, 10 MB in base64
WITHIN = 60
KIB = 1024
PEAK_ANEW = "5"  # written to /proc/PID/clear_refs, the peak begins anew


def copies(gateway: Gateway, *, bridged: bool) -> float:
    """Return the memory that a request adds at its peak, in sizes of its body, which is one of them.

    A process that was asked before may have room left over: ask one that is fresh.
    """
    port, model = (gateway.paced, gateway.bridged_model) if bridged else (gateway.plain, gateway.plain_model)
    url = "data:image/png;base64," + base64.b64encode(bytes(PICTURE)).decode()
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    body = json.dumps({"model": model, "messages": [message], "max_tokens": 9}).encode()
    before = _kept(gateway.pid, "VmRSS")
    Path(f"/proc/{gateway.pid}/clear_refs").write_text(PEAK_ANEW)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    connection.getresponse().read()
    connection.close()
    return (_kept(gateway.pid, "VmHWM") - before) / len(body)


def _kept(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(name + ":"))
