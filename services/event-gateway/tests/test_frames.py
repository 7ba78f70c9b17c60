"""Responses that are written as bytes are those that the generated code would write."""

from hypothesis import given
from hypothesis import strategies as st

from ontomesh.events.v1 import cloud_event_pb2, consume_service_pb2
from ontomesh_event_gateway.domain.member import MAX_BYTES, MAX_EVENTS, Delivery
from ontomesh_event_gateway.domain.model import Event, StoredEvent
from ontomesh_event_gateway.doors.convert import time_proto
from ontomesh_event_gateway.doors.frames import consume_response, portions, subscribe_response

_EVENTS = st.builds(
    cloud_event_pb2.CloudEvent, id=st.text(max_size=300), source=st.text(max_size=3), text_data=st.text()
)
_NUMBERS = st.one_of(st.integers(1, 300), st.integers(1, (1 << 63) - 1))
_TIMES = st.integers(0, 253_402_300_799_999_999)


@given(st.lists(st.tuples(_EVENTS, _NUMBERS, st.integers(1, 1_001), _NUMBERS, _TIMES, st.sampled_from(["", "00-a"]))))
def test_a_consume_response_holds_its_deliveries(
    sent: list[tuple[cloud_event_pb2.CloudEvent, int, int, int, int, str]],
) -> None:
    frame = consume_response(
        Delivery(number, event.SerializeToString(), attempt, sequence, time, hop)
        for event, number, attempt, sequence, time, hop in sent
    )
    expected = consume_service_pb2.ConsumeResponse(
        deliveries=[
            consume_service_pb2.Delivery(
                number=number,
                event=event,
                attempt=attempt,
                sequence=sequence,
                store_time=time_proto(time),
                traceparent=hop,
            )
            for event, number, attempt, sequence, time, hop in sent
        ]
    )
    assert consume_service_pb2.ConsumeResponse.FromString(frame) == expected


@given(st.lists(st.tuples(_EVENTS, _NUMBERS, _TIMES)))
def test_a_subscribe_response_holds_its_events(sent: list[tuple[cloud_event_pb2.CloudEvent, int, int]]) -> None:
    frame = subscribe_response(_stored(event.SerializeToString(), sequence, time) for event, sequence, time in sent)
    expected = consume_service_pb2.SubscribeResponse(
        events=[
            consume_service_pb2.StreamedEvent(event=event, sequence=sequence, store_time=time_proto(time))
            for event, sequence, time in sent
        ]
    )
    assert consume_service_pb2.SubscribeResponse.FromString(frame) == expected


@given(st.lists(st.sampled_from([10, MAX_BYTES // 3, 2 * MAX_BYTES]), max_size=20), st.integers(0, 600))
def test_portions_are_all_of_it_and_within_the_limits(sizes: list[int], more: int) -> None:
    events = [_stored(bytes(size)) for size in sizes] + [_stored(b"x")] * more
    found = list(portions(events))
    assert [one for portion in found for one in portion] == events
    for portion in found:
        size = sum(len(one.event.encoded) for one in portion)
        assert len(portion) == 1 or (len(portion) <= MAX_EVENTS and size <= MAX_BYTES)


def _stored(encoded: bytes, sequence: int = 1, time: int = 0) -> StoredEvent:
    return StoredEvent(Event("1", "s", "t", encoded=encoded), sequence, time)
