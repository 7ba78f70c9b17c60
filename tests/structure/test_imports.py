from pathlib import Path

import pytest

from tests.structure.import_graph import read, violations

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for pattern in ("sdk/src", "services/*/src", "deploy/*/src") for path in ROOT.glob(pattern))


def test_first_party_modules_keep_the_import_rules() -> None:
    assert violations(read(SOURCES)) == []


def test_the_graph_sees_every_distribution_and_its_imports() -> None:
    graph = read(SOURCES)
    packages = {name.partition(".")[0] for name in graph.modules}
    assert packages >= {
        "ontomesh",
        "ontomesh_chassis",
        "ontomesh_data_kernel",
        "ontomesh_event_gateway",
        "ontomesh_local",
    }
    edges = {(found.importer, found.imported) for found in graph.imports}
    stubs = "ontomesh.kernel.v1"
    assert (f"{stubs}.document_service_pb2_grpc", f"{stubs}.document_service_pb2") in edges
    assert (f"{stubs}.document_service_pb2_grpc", "grpc") in edges


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"ontomesh/sdk/client.py": "import ontomesh_chassis.server", "ontomesh_chassis/server.py": ""},
            "ontomesh.sdk.client:1 imports ontomesh_chassis.server: the SDK imports no other distribution",
            id="sdk-imports-chassis",
        ),
        pytest.param(
            {"ontomesh/cli/main.py": "def run():\n    from fastapi import FastAPI"},
            "ontomesh.cli.main:2 imports fastapi: the SDK imports no server code",
            id="sdk-imports-server-library-lazily",
        ),
        pytest.param(
            {"ontomesh_chassis/auth.py": "from ontomesh.sdk import connect", "ontomesh/sdk/__init__.py": ""},
            "ontomesh_chassis.auth:1 imports ontomesh.sdk: the chassis imports no other distribution, stubs apart",
            id="chassis-imports-sdk",
        ),
        pytest.param(
            {"ontomesh_a/main.py": "from ontomesh_b import domain", "ontomesh_b/domain.py": ""},
            "ontomesh_a.main:1 imports ontomesh_b.domain: services never import one another",
            id="service-imports-service",
        ),
        pytest.param(
            {"ontomesh_a/main.py": "import ontomesh_local"},
            "ontomesh_a.main:1 imports ontomesh_local: nothing imports the local stack",
            id="service-imports-stack",
        ),
        pytest.param(
            {"ontomesh_a/domain/rules.py": "import sqlite3"},
            "ontomesh_a.domain.rules:1 imports sqlite3: "
            "domain, ports and errors import only the standard library and pure libraries",
            id="domain-imports-driver",
        ),
        pytest.param(
            {"ontomesh_a/ports.py": "from ontomesh.kernel.v1 import ref_pb2", "ontomesh/kernel/v1/ref_pb2.py": ""},
            "ontomesh_a.ports:1 imports ontomesh.kernel.v1.ref_pb2: "
            "domain, ports and errors import only the standard library and pure libraries",
            id="ports-import-protobuf",
        ),
        pytest.param(
            {"ontomesh_a/errors.py": "from ontomesh_chassis import errors", "ontomesh_chassis/errors.py": ""},
            "ontomesh_a.errors:1 imports ontomesh_chassis.errors: "
            "domain, ports and errors import only the standard library and pure libraries",
            id="errors-import-chassis",
        ),
        pytest.param(
            {"ontomesh_a/domain/__init__.py": "from ..adapters import store", "ontomesh_a/adapters/store.py": ""},
            "ontomesh_a.domain:1 imports ontomesh_a.adapters.store: domain may not see adapters",
            id="domain-imports-adapter",
        ),
        pytest.param(
            {"ontomesh_a/doors/grpc.py": "from ontomesh_a.adapters import store", "ontomesh_a/adapters/store.py": ""},
            "ontomesh_a.doors.grpc:1 imports ontomesh_a.adapters.store: doors may not see adapters",
            id="door-imports-adapter",
        ),
        pytest.param(
            {"ontomesh_a/adapters/store.py": "import ontomesh_a.doors.grpc", "ontomesh_a/doors/grpc.py": ""},
            "ontomesh_a.adapters.store:1 imports ontomesh_a.doors.grpc: adapters may not see doors",
            id="adapter-imports-door",
        ),
        pytest.param(
            {"ontomesh_a/doors/http.py": "import sqlite3"},
            "ontomesh_a.doors.http:1 imports sqlite3: doors use no driver",
            id="door-imports-driver",
        ),
        pytest.param(
            {"ontomesh/sdk/publisher.py": "import nats"},
            "ontomesh.sdk.publisher:1 imports nats: only the event gateway's NATS adapter talks to NATS",
            id="sdk-imports-nats",
        ),
        pytest.param(
            {"ontomesh_event_gateway/adapters/spool.py": "def drain():\n    from nats.js import api"},
            "ontomesh_event_gateway.adapters.spool:2 imports nats.js: only the event gateway's NATS adapter talks to NATS",
            id="another-adapter-imports-nats",
        ),
        pytest.param(
            {"ontomesh_data_kernel/adapters/relay.py": "import nats"},
            "ontomesh_data_kernel.adapters.relay:1 imports nats: only the event gateway's NATS adapter talks to NATS",
            id="kernel-imports-nats",
        ),
        pytest.param(
            {"ontomesh_a/commands.py": "from ontomesh_a.doors import grpc", "ontomesh_a/doors/grpc.py": ""},
            "ontomesh_a.commands:1 imports ontomesh_a.doors.grpc: only main sees doors",
            id="another-module-sees-doors",
        ),
        pytest.param(
            {"ontomesh_a/__init__.py": "from ontomesh_a.main import main", "ontomesh_a/main.py": ""},
            "ontomesh_a:1 imports ontomesh_a.main: a service's root package imports nothing of the service",
            id="root-package-imports-main",
        ),
        pytest.param(
            {
                "ontomesh_chassis/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import B",
                "ontomesh_chassis/b.py": "import ontomesh_chassis.a",
            },
            "a cycle of imports: ontomesh_chassis.a -> ontomesh_chassis.b -> ontomesh_chassis.a",
            id="cycle-through-type-checking",
        ),
    ],
)
def test_a_broken_rule_is_reported(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert violations(read([tmp_path])) == [expected]


def test_a_tree_that_keeps_the_rules_is_accepted(tmp_path: Path) -> None:
    files = {
        "ontomesh_a/__main__.py": "from ontomesh_a.main import main",
        "ontomesh_a/main.py": "from ontomesh_a import adapters, config, doors\nfrom ontomesh_a.domain import rules",
        "ontomesh_a/config.py": "import pydantic_settings",
        "ontomesh_a/domain/rules.py": "import asyncio, orjson\nfrom ontomesh_a import errors, ports",
        "ontomesh_a/ports.py": "from ontomesh_a.errors import Refused",
        "ontomesh_a/errors.py": "",
        "ontomesh_a/doors/__init__.py": "import grpc\nfrom ontomesh_a.domain import rules\nfrom ontomesh.sdk import connect",
        "ontomesh_a/adapters/__init__.py": "import sqlite3\nfrom ontomesh_a import ports\nimport ontomesh_chassis",
        "ontomesh_chassis/__init__.py": "from ontomesh.kernel.v1 import ref_pb2",
        "ontomesh_event_gateway/adapters/nats/publisher.py": "import nats\nfrom nats.js import api",
        "ontomesh_local/__init__.py": "import ontomesh_a.main, ontomesh_chassis, ontomesh",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert violations(read([tmp_path])) == []
