import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from sdk.tests.client.kernel import Kernel, refusal

from ontomesh.kernel.v1 import commit_service_pb2, document_pb2, document_service_pb2
from ontomesh.sdk import Mesh, _blocking, connect
from ontomesh.sdk.background import BackgroundLoop
from ontomesh.sdk.errors import DocumentNotFound
from tools.generate_sync import TARGET, generate


def run_script(text: str, kernel: Kernel) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text, kernel.address],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def pages(kernel: Kernel, *sizes: int) -> None:
    """Lists documents in pages of these sizes."""

    def page(request: document_service_pb2.ListDocumentsRequest, context: Any) -> Any:
        number = int(request.page_token or 0)
        found = [document_pb2.Document(id=f"Package/{number}-{item}") for item in range(sizes[number])]
        token = str(number + 1) if number + 1 < len(sizes) else ""
        return document_service_pb2.ListDocumentsResponse(documents=found, next_page_token=token, commit="c1")

    kernel.answers["ListDocuments"] = page


def test_the_generated_classes_are_what_their_sources_give() -> None:
    assert Path(_blocking.__file__) == TARGET
    assert generate() == TARGET.read_text("utf-8")


def test_a_script_needs_no_event_loop(kernel: Kernel, home: Path) -> None:
    script = """
import sys
from ontomesh.sdk import connect
with connect(sys.argv[1]) as mesh:
    print(mesh.database("catalog").get("Package/a").data)
"""
    assert run_script(script, kernel) == "{'@id': 'Package/a', '@type': 'Package'}\n"


def test_a_script_that_forgets_to_close_still_ends(kernel: Kernel, home: Path) -> None:
    script = """
import sys
from ontomesh.sdk import connect
mesh = connect(sys.argv[1]).open()
print(mesh.database("catalog").get("Package/a").id)
"""
    assert run_script(script, kernel) == "Package/a\n"


async def test_it_works_where_another_loop_runs(kernel: Kernel, home: Path) -> None:
    # As in a notebook: this code runs on a loop, and blocks it.
    assert asyncio.get_running_loop().is_running()
    with connect(kernel.address) as mesh:
        assert mesh.address == kernel.address
        assert mesh.database("catalog").get("Package/a").id == "Package/a"


def test_threads_share_a_client(kernel: Kernel, home: Path) -> None:
    found: list[str] = []
    with connect(kernel.address) as mesh:
        database = mesh.database("catalog")
        work: Callable[[str], None] = lambda id: found.append(database.get(id).id)  # noqa: E731 - one line says it
        threads = [threading.Thread(target=work, args=(f"Package/{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [f"Package/{number}" for number in range(8)]


def test_errors_are_the_same(kernel: Kernel, home: Path) -> None:
    kernel.failures["GetDocument"] = [refusal("NOT_FOUND", "DOCUMENT_NOT_FOUND")]
    with connect(kernel.address) as mesh, pytest.raises(DocumentNotFound):
        mesh.database("catalog").get("Package/a")


def test_lists_are_plain_iterators_that_page_lazily(kernel: Kernel, home: Path) -> None:
    pages(kernel, 2, 0, 1)
    with connect(kernel.address) as mesh:
        documents = iter(mesh.database("catalog").documents())
        assert next(documents).id == "Package/0-0"
        assert next(documents).id == "Package/0-1"
        assert len(kernel.seen) == 1
        assert [each.id for each in documents] == ["Package/2-0"]
        assert len(kernel.seen) == 3


def test_streams_are_plain_iterators_that_can_be_left(kernel: Kernel, home: Path) -> None:
    reports = [commit_service_pb2.VerifyHistoryResponse(commits=number) for number in range(3)]
    kernel.answers["VerifyHistory"] = lambda request, context: iter(reports)
    with connect(kernel.address) as mesh:
        assert [each.commits for each in mesh.database("catalog").verify()] == [0, 1, 2]
        for first in mesh.database("catalog").verify():
            assert first.commits == 0
            break


def test_the_async_client_is_reachable_for_the_raw_stubs(kernel: Kernel, home: Path) -> None:
    request = document_service_pb2.GetDocumentRequest(id="Package/a")
    with connect(kernel.address) as mesh:
        assert mesh.run(lambda client: client.raw.documents.GetDocument(request)).document.id == "Package/a"


def test_on_its_own_loop_it_refuses_to_wait_for_itself(kernel: Kernel, home: Path) -> None:
    async def nested(mesh: Mesh) -> None:
        mesh.database("catalog").get("Package/a")

    with connect(kernel.address) as mesh, pytest.raises(RuntimeError, match="own event loop"):
        mesh.run(lambda client: nested(mesh))


def test_closing_ends_the_calls_of_other_threads(kernel: Kernel, home: Path) -> None:
    arrived, over = threading.Event(), threading.Event()

    def silent(request: Any, context: Any) -> Any:
        context.add_callback(over.set)
        arrived.set()
        over.wait(10)
        return document_service_pb2.GetDocumentResponse()

    def work() -> None:
        with pytest.raises(CancelledError):
            mesh.database("catalog").get("Package/a")
        ended.set()

    ended = threading.Event()
    kernel.answers["GetDocument"] = silent
    mesh = connect(kernel.address).open()
    thread = threading.Thread(target=work)
    thread.start()
    assert arrived.wait(10)
    mesh.close()
    thread.join(10)
    assert ended.is_set()


def test_a_closed_client_says_so(kernel: Kernel, home: Path) -> None:
    with connect(kernel.address) as mesh:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        mesh.database("catalog").get("Package/a")


def test_the_loop_ends_with_the_last_client(kernel: Kernel, home: Path) -> None:
    first, second = connect(kernel.address).open(), connect(kernel.address).open()
    first.close()
    first.close()
    assert second.database("catalog").get("Package/a").id == "Package/a"
    loop = BackgroundLoop.acquire()
    loop.release()
    second.close()
    assert "ontomesh" not in [thread.name for thread in threading.enumerate()]
