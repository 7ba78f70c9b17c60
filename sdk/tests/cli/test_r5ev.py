import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sdk.tests.cli.conftest import Cli, run
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.memory import Consumer, failed

from ontomesh.events.v1.publish_service_pb2 import PublishRequest
from ontomesh.sdk.events import Event, wire


def put(gateway: Gateway, *events: Event) -> None:
    gateway.memory.publish(PublishRequest(events=[wire.message_of(event, "/tests") for event in events]))


def change(operation: str, subject: str, cls: str, *changed: str, id: str = "") -> Event:
    return Event.of(
        f"ontomesh.document.{cls}",
        {"id": subject, "changed": list(changed)},
        subject=subject,
        id=id,
        source="/databases/catalog/branches/main",
        attributes={
            "database": "catalog",
            "branch": "main",
            "commit": "81399eee",
            "class": cls,
            "ancestors": "Thing",
            "operation": operation,
            "author": "user:ana",
        },
    )


def dead(gateway: Gateway, name: str) -> None:
    """Makes dead letters of what waits for a subscription."""
    memory = gateway.memory
    with memory.changed:
        sub, consumer = memory.sub(name), Consumer("worker-1", 100)
        for delivery in memory.due(sub, consumer):
            memory.done(sub, consumer, delivery.number, lambda sequence: memory.bury(sub, sequence, consumer, "no way"))


def test_an_event_is_published_with_what_it_is_given(cli: Cli, gateway: Gateway) -> None:
    given = ("--source", "/shop", "--subject", "orders/7", "--id", "7", "--attr", "tenant=a")
    assert cli.ok("events", "publish", "orders.placed", '{"total": 1.10}', *given).out == "stored as 1: 7\n"
    assert cli.ok("events", "publish", "orders.placed", "{}", *given).out == "duplicate: 7\n"
    (stored,) = gateway.memory.stream
    assert (stored.event.source, stored.event.binary_data) == ("/shop", b'{"total": 1.10}')
    assert stored.event.attributes["tenant"].ce_string == "a"
    assert stored.event.attributes["datacontenttype"].ce_string == "application/json"


def test_data_come_from_a_file_or_standard_input_or_not_at_all(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"from": "file"}')
    cli.ok("events", "publish", "a", f"@{file}")
    cli.ok("events", "publish", "a", "-", stdin='{"from": "stdin"}')
    cli.ok("events", "publish", "a", "words", "--content-type", "text/plain")
    assert cli.ok("events", "publish", "a", "--json").json()["sequence"] == 4
    assert [each.event.binary_data for each in gateway.memory.stream] == [
        b'{"from": "file"}',
        b'{"from": "stdin"}',
        b"words",
        b"",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish"], "which type?"),
        (["publish", "a", "{bad"], "the data are no JSON"),
        (["publish", "a", "@/nowhere/at/all"], "/nowhere/at/all"),
        (["publish", "a", "{}", "--attr", "x"], "expected KEY=VALUE"),
        (["publish", "a", "{}", "--ndjson", "-"], "takes the data from the file"),
        (["tail", "--all", "--since", "1h"], "exclude each other"),
        (["tail", "--since", "yesterday"], "is no time"),
        (["replay", "s", "--from", "then"], "is no time"),
        (["dead-letters", "s", "--redrive-all", "--delete", "d1"], "exclude each other"),
        (["types", "put", "a", "--schema", "{}", "--class", "c/P"], "exclude each other"),
        (["types", "put", "a", "--class", "Package"], "expected DB[/BRANCH]/CLASS"),
        (["subscriptions", "delete", "s", "--json"], "cannot be undone"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_told_before_anything_is_sent(
    cli: Cli, gateway: Gateway, arguments: list[str], message: str
) -> None:
    result = cli("events", *arguments)
    assert result.code == 2
    assert message in result.err
    assert gateway.memory.stream == []


def test_a_file_of_data_is_published_in_order(cli: Cli, gateway: Gateway) -> None:
    lines = "".join(f'{{"n": {index}}}\n\n' for index in range(600))
    assert cli.ok("events", "publish", "a", "--ndjson", "-", stdin=lines).out == "600 events: 600 stored\n"
    assert [json.loads(each.event.binary_data)["n"] for each in gateway.memory.stream] == list(range(600))


def test_what_tail_prints_can_be_published_again(cli: Cli, gateway: Gateway) -> None:
    put(gateway, change("insert", "Package/a", "Package", "name", id="1"), Event.of("a", b"\x00", id="2"))
    tailed = cli.ok("events", "tail", "--all", "-n", "2", "--json").lines
    events = "\n".join(json.dumps(json.loads(line)["event"]) for line in tailed)
    assert cli.ok("events", "publish", "--ndjson", "-", stdin=events).out == "2 events: 2 duplicate\n"
    again = cli.ok("events", "publish", "--ndjson", "-", "--source", "/copy", stdin=events)
    assert again.out == "2 events: 2 stored\n"
    original, copy = gateway.memory.stream[0].event, gateway.memory.stream[2].event
    assert (copy.source, copy.binary_data) == ("/copy", original.binary_data)


def test_a_file_that_holds_what_is_no_event_is_told_with_its_line(cli: Cli, gateway: Gateway) -> None:
    result = cli("events", "publish", "--ndjson", "-", stdin='{"specversion":"1.0","id":"1"}\n')
    assert (result.code, "-:1: the CloudEvent has no source" in result.err) == (2, True)
    result = cli("events", "publish", "--ndjson", "-", stdin='{"n": 1}\n')
    assert "each line is the data of such an event" in result.err
    result = cli("events", "publish", "a", "--ndjson", "-", stdin='{"n": 1}\nnonsense\n')
    assert (result.code, result.out) == (2, "1 event: 1 stored\n")
    assert "-:2: not JSON: Expecting value at column 1" in result.err


def test_an_event_that_is_refused_is_told_with_reason_and_hint(cli: Cli, gateway: Gateway) -> None:
    gateway.memory.outcomes = [failed("BROKER_UNAVAILABLE")]
    result = cli("events", "publish", "a", "{}", "--stored")
    assert (result.code, result.out) == (3, "")
    assert "(BROKER_UNAVAILABLE)" in result.err
    assert "hint: NATS is away" in result.err


def test_the_tail_tells_of_documents_and_of_other_events(cli: Cli, gateway: Gateway) -> None:
    put(
        gateway,
        change("insert", "Package/numpy", "Package", "name", "version"),
        change("replace", "Package/numpy", "Package", "version", "requires"),
        change("delete", "Thing/x", "Package", "name"),
        Event.of("orders.placed", {"order": 7}, subject="orders/7"),
        Event.of("blob", b"\x00\x01"),
        Event.of("evil\x1b[2J", "words"),
        change("insert", "@schema/Package", ""),
    )
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in cli.ok("events", "tail", "--all", "-n", "7").lines]
    assert lines == [
        "insert   Package/numpy  catalog/main  user:ana",
        "replace  Package/numpy  catalog/main  version, requires  user:ana",
        "delete   Thing/x (Package)  catalog/main  user:ana",
        'orders.placed orders/7  {"order":7}',
        "blob  2 bytes",
        r"evil\x1b[2J  words",
        "insert   @schema/Package  catalog/main  user:ana",
    ]


def test_the_tail_shows_what_fits(cli: Cli, gateway: Gateway) -> None:
    put(gateway, change("insert", "Package/a", "Package"), change("insert", "Person/b", "Person"), Event.of("orders.x"))
    for arguments, subject in (
        (("--class", "Person"), "Person/b"),
        (("--type", "orders.*"), "orders.x"),
        (("--class", "Thing", "--branch", "ma*", "--db", "catalog", "--from-sequence", "2"), "Person/b"),
        (("--subject", "Person/*", "--operation", "insert", "--since", "1h"), "Person/b"),
        (("--attr", "author=user:*", "--from-sequence", "2"), "Person/b"),
    ):
        begin = () if "--from-sequence" in arguments or "--since" in arguments else ("--all",)
        assert subject in cli.ok("events", "tail", "-n", "1", *arguments, *begin).out


def test_the_tail_goes_on_over_a_restart_and_ends_quietly_with_ctrl_c(cli: Cli, gateway: Gateway) -> None:
    put(gateway, Event.of("old"))
    with subprocess.Popen(
        [sys.executable, "-m", "ontomesh.cli.main", "events", "tail", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        until_called(gateway, "Subscribe", 1)
        put(gateway, Event.of("first"))
        assert json.loads(process.stdout.readline())["event"]["type"] == "first"
        gateway.stop()
        gateway.start()
        put(gateway, Event.of("second"))
        assert json.loads(process.stdout.readline())["sequence"] == 3
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        err = process.stderr.read()
        open("/tmp/r5-err.txt", "ab").write(b"" if code == 130 else err + b"\n=====\n")
        assert code == 130


def until_called(gateway: Gateway, method: str, times: int) -> None:
    deadline = time.monotonic() + 30
    while sum(name == method for name, _ in gateway.seen) < times:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_subscriptions_are_managed(cli: Cli, gateway: Gateway) -> None:
    made = cli.ok("events", "subscriptions", "create", "billing", "--type", "orders.*", "--by-key", "--start", "all")
    assert made.out == "created subscription billing to type orders.*\n"
    cli.ok("events", "subscriptions", "create", "notify", "--class", "Incident", "--branch", "main", "--hook")
    cli.ok("events", "subscriptions", "pause", "billing")
    table = cli.ok("events", "subscriptions").lines
    assert table[1].split()[:4] == ["billing", "paused", "by", "key"]
    assert table[2].endswith("class Incident; branch main")
    assert [json.loads(line)["name"] for line in cli.ok("events", "subscriptions", "--json").lines] == [
        "billing",
        "notify",
    ]
    assert cli.ok("events", "subscriptions", "list", "--label", "hook", "--json").json()["name"] == "notify"
    shown = cli.ok("events", "subscriptions", "show", "billing")
    assert "10 attempts of at most 30 s, 1,000 at once" in shown.out
    assert cli.ok("events", "subscriptions", "show", "billing", "--json").json()["status"]["pending"] == 0
    cli.ok("events", "subscriptions", "resume", "billing")
    cli.ok("events", "subscriptions", "delete", "billing", "--yes")
    gone = cli("events", "subscriptions", "show", "billing")
    assert gone.code == 3
    assert "`ontomesh events subscriptions` lists what exists" in gone.err


def test_dead_letters_are_listed_redriven_and_deleted(cli: Cli, gateway: Gateway) -> None:
    cli.ok("events", "subscriptions", "create", "s")
    put(gateway, *(Event.of("orders.placed", {"n": index}, id=f"o{index}") for index in range(3)))
    dead(gateway, "s")
    rows = cli.ok("events", "dead-letters", "s").lines
    assert [row.split()[0] for row in rows] == ["ID", "d1", "d2", "d3"]
    assert rows[1].endswith("o0     no way")
    letter = json.loads(cli.ok("events", "dead-letters", "s", "--json").lines[0])
    assert (letter["error"], letter["event"]["data"]) == ("no way", {"n": 0})
    assert cli.ok("events", "dead-letters", "s", "--delete", "d1").out == "1 dead letter deleted\n"
    assert cli.ok("events", "dead-letters", "s", "--redrive", "d2").out == "1 dead letter redriven\n"
    assert cli.ok("events", "dead-letters", "s", "--redrive-all", "--json").json() == {"redriven": 1}
    assert cli.ok("events", "dead-letters", "s").err == "no dead letters\n"
    assert cli("events", "dead-letters", "s", "--redrive", "d9").code == 3


def test_a_subscription_is_replayed(cli: Cli, gateway: Gateway) -> None:
    cli.ok("events", "subscriptions", "create", "s")
    put(gateway, Event.of("a"), Event.of("b"))
    assert cli.ok("events", "replay", "s", "--from", "2").out == "replaying s from sequence 2\n"
    assert len(gateway.memory.subs["s"].waiting) == 1
    assert cli.ok("events", "replay", "s", "--from", "all", "--json").json() == {"subscription": "s", "from": "all"}
    assert cli.ok("events", "replay", "s", "--from", "1h").out.startswith("replaying s from 20")


def test_event_types_are_managed(cli: Cli, gateway: Gateway) -> None:
    assert cli.ok("events", "types", "put", "a", "--schema", '{"type":"object"}').out.endswith(": a JSON Schema\n")
    cli.ok("events", "types", "put", "b", "--class", "catalog/dev/Package", "--description", "found\nsomewhere")
    rows = cli.ok("events", "types").lines
    assert rows[2].startswith("b     catalog/dev/Package")
    assert rows[2].endswith("found")
    assert '"type": "object"' in cli.ok("events", "types", "show", "a").out
    assert cli.ok("events", "types", "show", "b", "--json").json()["schema"]["branch"] == "dev"
    cli.ok("events", "types", "delete", "a")
    assert cli("events", "types", "show", "a").code == 3


def test_the_status_tells_fill_retention_and_spool(cli: Cli, gateway: Gateway) -> None:
    put(gateway, Event.of("a"))
    told = cli.ok("events", "status").out
    assert gateway.address in told
    assert "0.0% of 1 GiB" in told
    assert "7 days" in told
    assert "on one node, synced always" in told
    assert cli.ok("events", "status", "--json").json()["deduplication_window"] == 120


def test_a_gateway_that_is_away_is_told_with_its_address_and_what_to_do(alone: Cli) -> None:
    result = alone("events", "tail", "--timeout", "5")
    assert (result.code, result.out) == (4, "")
    assert "the event gateway at 127.0.0.1:1" in result.err
    assert "`make up`" in result.err
    assert "--events-address" in result.err


def test_names_are_completed(cli: Cli, gateway: Gateway) -> None:
    cli.ok("events", "subscriptions", "create", "billing")
    cli.ok("events", "types", "put", "orders.placed")
    for words, offered in (("events replay b", "billing"), ("events types show o", "orders.placed")):
        environment = {**os.environ, "_ONTOMESH_COMPLETE": "complete_bash", "COMP_WORDS": f"ontomesh {words}"}
        environment["COMP_CWORD"] = str(len(words.split()))
        command = [str(Path(sys.executable).with_name("ontomesh"))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert offered in done.stdout


def test_the_command_knows_no_server_code(cli: Cli, gateway: Gateway) -> None:
    assert run("events", "status").returncode == 0
    script = "import sys; from ontomesh.cli.main import build; build(); print([n for n in sys.modules if n.startswith('ontomesh_')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
