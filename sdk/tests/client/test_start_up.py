import json
import subprocess
import sys
from pathlib import Path

from sdk.tests.client.kernel import Kernel

LIMIT_S = 0.5
HEAVY = {"pydantic", "typer", "rich", "fastapi", "uvicorn", "uvloop", "jwt", "cryptography"}


def fresh(text: str, *arguments: str) -> str:
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout


def test_importing_the_sdk_is_quick() -> None:
    script = "import time; began = time.perf_counter(); import ontomesh.sdk; print(time.perf_counter() - began)"
    # The best of a few: what counts is the work it does, not what else the machine does.
    assert min(float(fresh(script)) for _ in range(3)) <= LIMIT_S


def test_importing_the_sdk_brings_no_server_and_no_models() -> None:
    loaded = set(json.loads(fresh("import json, sys, ontomesh.sdk; print(json.dumps(sorted(sys.modules)))")))
    roots = {name.partition(".")[0] for name in loaded}
    assert not roots & HEAVY
    assert not {name for name in roots if name.startswith("ontomesh_")}


def test_the_applications_own_tracing_is_found_and_without_it_nothing_is_sent(kernel: Kernel, home: Path) -> None:
    call = """
import sys
from ontomesh.sdk import connect
with connect(sys.argv[1]) as mesh:
    mesh.database("catalog").get("Package/a")
"""
    configured = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
    fresh(call, kernel.address)
    fresh(configured + call, kernel.address)
    silent, traced = kernel.seen
    assert "traceparent" not in silent.metadata
    assert "traceparent" in traced.metadata
