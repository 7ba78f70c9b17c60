import json

import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.test_events import change, dead, put
from sdk.tests.events.gateway import Gateway


def test_validators_and_after_hooks_are_listed_together(cli: Cli, gateway: Gateway) -> None:
    cli.ok("hooks", "add", "ticket", "--rule", "message", "--param", "pattern=[A-Z]+-[0-9]+", "--branch", "main")
    cli.ok("hooks", "add", "prices", "--grpc", "prices.example:443", "--class", "Product", "--deadline", "500ms")
    cli.ok("events", "subscriptions", "create", "notify", "--class", "Incident", "--hook")
    cli.ok("events", "subscriptions", "create", "billing")
    rows = [line.split("  ") for line in cli.ok("hooks").lines]
    assert [row[0] for row in rows] == ["NAME", "prices", "ticket", "notify"]
    told = cli.ok("hooks", "list").out
    assert "rule message pattern=[A-Z]+-[0-9]+" in told
    assert "grpc prices.example:443" in told
    kinds = [json.loads(line)["kind"] for line in cli.ok("hooks", "--json").lines]
    assert kinds == ["validator", "validator", "after"]


def test_validators_are_listed_where_no_gateway_runs(cli: Cli) -> None:
    cli.patch.setenv("ONTOMESH_EVENTS_ADDRESS", "127.0.0.1:1")
    cli.ok("hooks", "add", "ticket", "--rule", "message")
    result = cli.ok("hooks", "--timeout", "5")
    assert "ticket" in result.out
    assert "after-hooks are not listed" in result.err


def test_a_validator_is_shown_disabled_enabled_replaced_and_removed(cli: Cli, gateway: Gateway) -> None:
    cli.ok("hooks", "add", "audit", "--https", "https://audit.example/v", "--on-failure", "allow", "--order", "3")
    shown = cli.ok("hooks", "show", "audit").out
    assert "https https://audit.example/v" in shown
    assert "2 s; then allow" in shown
    assert "12 answered, 2 objected to, 1 failed" in shown
    assert cli.ok("hooks", "disable", "audit").out == "disabled validator audit\n"
    shown = cli.ok("hooks", "show", "audit", "--json").json()
    assert (shown["disabled"], shown["order"], shown["calls"]) == (True, 3, 12)
    assert shown["check"] == {"kind": "https", "url": "https://audit.example/v"}
    cli.ok("hooks", "enable", "audit")
    again = cli("hooks", "add", "audit", "--rule", "no_deletes")
    assert (again.code, "--replace replaces it" in again.err) == (2, True)
    cli.ok("hooks", "add", "audit", "--rule", "no_deletes", "--replace")
    assert "rule no_deletes" in cli.ok("hooks", "show", "audit").out
    cli.ok("hooks", "rm", "audit")
    gone = cli("hooks", "show", "audit")
    assert (gone.code, "`ontomesh hooks` lists what exists" in gone.err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what is to check commits?"),
        (["--rule", "message", "--https", "https://x"], "what is to check commits?"),
        (["--https", "https://x", "--param", "a=b"], "--param is for"),
        (["--rule", "message", "--plaintext"], "--plaintext is for"),
        (["--rule", "message", "--on-failure", "shrug"], "expected reject or allow"),
        (["--rule", "message", "--deadline", "soon"], "no length of time"),
    ],
)
def test_a_validator_that_makes_no_sense_is_not_sent(cli: Cli, arguments: list[str], message: str) -> None:
    result = cli("hooks", "add", "x", *arguments)
    assert (result.code, message in result.err) == (2, True)


def test_the_runs_of_an_after_hook_are_told_and_redriven(cli: Cli, gateway: Gateway) -> None:
    cli.ok("events", "subscriptions", "create", "notify", "--hook")
    put(
        gateway,
        change("insert", "Incident/1", "Incident", id="one"),
        change("insert", "Incident/2", "Incident", id="two"),
    )
    assert "no runs are kept" in cli.ok("hooks", "runs", "notify").err
    dead(gateway, "notify")
    rows = cli.ok("hooks", "runs", "notify").lines
    assert [row.split()[-3] for row in rows[1:]] == ["two", "one"]
    assert "dead lettered" in rows[1]
    run = cli.ok("hooks", "runs", "notify", "--event", "one", "--json").json()
    assert (run["outcome"], run["error"], run["consumer"]) == ("dead_lettered", "no way", "worker-1")
    assert cli("hooks", "runs", "notify", "--exit-code").code == 1
    assert cli.ok("hooks", "redrive", "notify", "--id", "d1").out == "1 event redriven to notify\n"
    assert cli.ok("hooks", "redrive", "notify", "--json").json() == {"redriven": 1}
    assert "notify" in cli.ok("hooks", "show", "notify").out


def test_what_is_for_validators_alone_names_what_does_it_to_an_after_hook(cli: Cli, gateway: Gateway) -> None:
    cli.ok("events", "subscriptions", "create", "notify", "--hook")
    for command, instead in (("disable", "pause"), ("enable", "resume"), ("rm", "delete")):
        result = cli("hooks", command, "notify")
        assert (result.code, f"`ontomesh events subscriptions {instead} notify`" in result.err) == (2, True)
    assert "waiting       0 at most" in cli.ok("hooks", "show", "notify").out
