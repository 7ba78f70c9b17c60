"""The replay of a recording tells a drift of the adapter, and a recording is the same however often it is made."""

from pathlib import Path

import httpx
import pytest

from tests.contract.exchanges import VERSION, Answer, Exchange, Recorder, Replay, Request, replaying, serving_exchanges

ID, OTHER = "7aw2kt78i23t6ck66zbxnsbu8fluz0h", "36gr4o0sf9ag4vwf36gr4o0sf9ag4vw"


def asked(path: str, body: str = "", method: str = "POST", **headers: str) -> Request:
    return Request(method, path, headers, body)


def told(body: str, status: int = 200, version: str = "") -> Answer:
    return Answer(status, version, body)


def exchanges_of(id: str, request_id: str) -> list[Exchange]:
    """What a server may have said, with an id of a commit that it drew."""
    read = {"path": f"/api/document/admin/d/local/commit/{id}"}
    return [
        Exchange(asked("/api/woql/admin/d", '{"query": {"a": 1, "b": 2.50}}'), told("{}", version=f"branch:{id}")),
        Exchange(asked("/api/graphql", '{"q":"head"}'), told(f'{{"head": {{"identifier": "{id}"}}}}')),
        Exchange(asked("/api/graphql", '{"q":"head"}'), told('{"head": null}')),
        Exchange(asked(read["path"], '{"ids":["A/b","A/a"],"as_list":true}'), told('[{"n": 1.10}]')),
        Exchange(
            asked(read["path"] + "?x=1&y=a%252Fb", method="GET"), told(f'{{"api:request_id":"{request_id}"}}', 404)
        ),
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording made of what another replay answers."""
    path = tmp_path / "recording.jsonl"
    with serving_exchanges(Replay(exchanges_of(ID, "first"))) as upstream:
        recorder = Recorder(f"terminusdb://admin:secret@127.0.0.1:{upstream}/admin")
        with serving_exchanges(recorder) as port:
            for exchange in exchanges_of(ID, "first"):
                assert answer_of(port, exchange.request) == exchange.answer.body
    recorder.write(path)
    return path


def answer_of(port: int, request: Request) -> str:
    url = f"http://127.0.0.1:{port}{request.path}"
    headers = {**request.headers, "authorization": "Basic secret"}
    return httpx.request(request.method, url, content=request.body, headers=headers).text


def test_a_recording_holds_neither_secrets_nor_what_the_server_drew(recording: Path) -> None:
    text = recording.read_text("utf-8")
    assert ID not in text
    assert "first" not in text
    assert "secret" not in text
    path = recording.with_name("again.jsonl")
    with serving_exchanges(Replay(exchanges_of(OTHER, "second"))) as upstream:
        recorder = Recorder(f"terminusdb://admin:other@127.0.0.1:{upstream}/admin")
        with serving_exchanges(recorder) as port:
            for exchange in exchanges_of(OTHER, "second"):
                answer_of(port, exchange.request)
    recorder.write(path)
    assert path.read_text("utf-8") == text


def test_equal_requests_are_answered_in_their_order_whatever_the_order_of_their_members(recording: Path) -> None:
    commit = f"c{0:030}"
    with replaying(recording) as port:
        assert answer_of(port, asked("/api/woql/admin/d", '{"query":{"b":2.50,"a":1}}')) == "{}"
        assert commit in answer_of(port, asked("/api/graphql", '{"q": "head"}'))
        assert answer_of(port, asked("/api/graphql", '{"q":"head"}')) == '{"head": null}'
        read = f"/api/document/admin/d/local/commit/{commit}"
        assert answer_of(port, asked(read, '{"as_list":true,"ids":["A/a","A/b"]}')) == '[{"n": 1.10}]'
        assert answer_of(port, asked(read + "?y=a%252Fb&x=1", method="GET")) == '{"api:request_id":"0"}'


@pytest.mark.parametrize(
    "request_",
    [
        asked("/api/woql/admin/d", '{"query":{"a":1,"b":2.5}}'),
        asked("/api/woql/admin/d", '{"query":{"a":1,"b":2.50}}', **{VERSION: "branch:x"}),
        asked("/api/woql/admin/d", '{"query":{"a":1,"b":2.50}}', "PUT"),
        asked("/api/woql/admin/e", '{"query":{"a":1,"b":2.50}}'),
        asked("/api/woql/admin/d?x=1", '{"query":{"a":1,"b":2.50}}'),
    ],
)
def test_a_request_that_the_recording_does_not_hold_fails_the_test(recording: Path, request_: Request) -> None:
    with pytest.raises(AssertionError, match="was never asked"), replaying(recording) as port:
        answer_of(port, request_)


def test_a_request_made_more_often_than_recorded_fails_the_test(recording: Path) -> None:
    with pytest.raises(AssertionError, match="more often"), replaying(recording) as port:
        assert [answer_of(port, asked("/api/graphql", '{"q":"head"}')) for _ in range(3)]
