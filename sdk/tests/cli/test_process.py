import os
import signal
import subprocess
import sys

import pytest
from sdk.tests.cli.conftest import Cli, run
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store


def test_a_whole_command_in_a_process_of_its_own(cli: Cli, catalog: Database) -> None:
    done = run("put", "-", "-m", "import", stdin='{"@type":"Package","name":"one"}')
    assert (done.returncode, done.stderr) == (0, "")
    assert run("diff", "main~1", "--exit-code").returncode == 1


@pytest.mark.parametrize("arguments", [("ls", "--json"), ("ls", "--long")], ids=" ".join)
@pytest.mark.parametrize("coloured", [False, True])
def test_a_reader_that_goes_away_ends_the_command_quietly(
    cli: Cli, store: Store, arguments: tuple[str, ...], coloured: bool
) -> None:
    if coloured:
        cli.patch.setenv("FORCE_COLOR", "1")
        cli.patch.delenv("NO_COLOR", raising=False)
    database = store.create("catalog")
    documents = {f"Thing/{n:05}": b'{"@id":"Thing/%05d","t":"%s"}' % (n, b"x" * 200) for n in range(3_000)}
    database.commit(documents, parents=(database.branches["main"],))
    with subprocess.Popen(
        [sys.executable, "-m", "ontomesh.cli.main", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
        assert process.wait(60) == 141
    assert complaint == b""


def test_ctrl_c_ends_the_command_quietly(cli: Cli, catalog: Database) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ontomesh.cli.main", "db", "delete", "catalog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        # The question is on the screen: the command waits for its answer.
        seen = process.stderr.read(20)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert b"Traceback" not in seen + rest


def test_ctrl_c_ends_a_call_that_is_under_way(cli: Cli, catalog: Database, store: Store) -> None:
    store.gate.clear()
    try:
        environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        environment.pop("NO_COLOR", None)
        with subprocess.Popen(
            [sys.executable, "-m", "ontomesh.cli.main", "verify"], stderr=subprocess.PIPE, env=environment
        ) as process:
            assert process.stderr is not None
            # The bar is on the screen.
            seen = process.stderr.read(10)
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(60) == 130
        assert b"verifying" in seen + rest
        assert b"Traceback" not in rest
    finally:
        store.gate.set()


@pytest.mark.parametrize("arguments", [("log", "--help"), ("db",), ("schema", "apply", "--help")], ids=" ".join)
def test_help_needs_neither_the_client_nor_rich(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; from ontomesh.cli.main import main; main(sys.argv[1:]); "
        "sys.exit(repr(sorted({'grpc', 'rich', 'jwt', 'ontomesh.sdk'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "[]"
