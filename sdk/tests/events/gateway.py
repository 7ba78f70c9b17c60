"""A gRPC server on a free port that speaks the event gateway's contract over what is in memory."""

# ruff: noqa: N802 - the contract names the methods

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from sdk.tests.events.memory import Consumer, Memory, Refusal, Stored, Sub, failed, fits, stamp

from ontomesh.events.v1 import (
    consume_service_pb2,
    consume_service_pb2_grpc,
    dead_letter_service_pb2,
    dead_letter_service_pb2_grpc,
    event_type_service_pb2,
    event_type_service_pb2_grpc,
    publish_service_pb2,
    publish_service_pb2_grpc,
    subscription_pb2,
    subscription_service_pb2,
    subscription_service_pb2_grpc,
)
from ontomesh.events.v1.dead_letter_service_pb2 import Attempt

CODES = {
    "SUBSCRIPTION_NOT_FOUND": code_pb2.NOT_FOUND,
    "SUBSCRIPTION_ALREADY_EXISTS": code_pb2.ALREADY_EXISTS,
    "EVENT_TYPE_NOT_FOUND": code_pb2.NOT_FOUND,
    "DEAD_LETTER_NOT_FOUND": code_pb2.NOT_FOUND,
    "START_NOT_RETAINED": code_pb2.OUT_OF_RANGE,
    "BROKER_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "ETAG_MISMATCH": code_pb2.ABORTED,
    "TOKEN_MISSING": code_pb2.UNAUTHENTICATED,
}
Handler = Any  # gRPC's own classes are generic in their types only.
T = Any


def page(items: list[T], size: int, token: str) -> tuple[list[T], str]:
    first, size = int(token or 0), size or 100
    return items[first : first + size], str(first + size) if first + size < len(items) else ""


class Doorkeeper(grpc.ServerInterceptor):
    """Turns refusals into errors with their details, and notes the metadata of calls."""

    def __init__(self, seen: list[tuple[str, dict[str, str]]]) -> None:
        self._seen = seen

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        metadata = {key: str(value) for key, value in handler_call_details.invocation_metadata}
        self._seen.append((handler_call_details.method.rpartition("/")[2], metadata))
        if handler is None or handler.response_streaming:
            return handler
        behaviour = handler.unary_unary
        assert behaviour is not None

        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            with refusals(context):
                return behaviour(request, context)

        return grpc.unary_unary_rpc_method_handler(guarded, handler.request_deserializer, handler.response_serializer)


@contextmanager
def refusals(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        detail = any_pb2.Any()
        detail.Pack(
            error_details_pb2.ErrorInfo(reason=refusal.reason, domain="events.ontomesh", metadata=refusal.metadata)
        )
        code = CODES.get(refusal.reason, code_pb2.INVALID_ARGUMENT)
        status = status_pb2.Status(code=code, message=refusal.message, details=[detail])
        context.abort_with_status(rpc_status.to_status(status))


class Publishing(publish_service_pb2_grpc.PublishServiceServicer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def Publish(self, request: Any, context: Any) -> Any:
        return publish_service_pb2.PublishResponse(results=self._memory.publish(request))

    def PublishStream(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        is_broken = False
        for request in request_iterator:
            results = [failed("NOT_REACHED") for _ in request.publish.events] if is_broken else None
            results = results or self._memory.publish(request.publish)
            is_broken = is_broken or any(
                each.outcome == publish_service_pb2.PublishResult.OUTCOME_FAILED for each in results
            )
            yield publish_service_pb2.PublishStreamResponse(number=request.number, results=results)


class Consuming(consume_service_pb2_grpc.ConsumeServiceServicer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def Consume(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        memory = self._memory
        with refusals(context):
            start = next(request_iterator).start
            with memory.changed:
                sub = memory.sub(start.subscription)
                consumer = Consumer(start.consumer, start.credit)
                sub.consumers.append(consumer)
        ended = threading.Event()
        reader = threading.Thread(target=self._read, args=(sub, consumer, request_iterator, ended), daemon=True)
        reader.start()
        # Not by `finally`: of a call that ends while a response is on its way, the rest here is never run.
        if not context.add_callback(lambda: self._leave(sub, consumer)):
            self._leave(sub, consumer)
            return
        yield consume_service_pb2.ConsumeResponse()
        while not ended.is_set() and context.is_active():
            with memory.changed:
                found = memory.due(sub, consumer) if consumer in sub.consumers else []
                if not found:
                    memory.changed.wait(0.02)
            if found:
                yield consume_service_pb2.ConsumeResponse(deliveries=found)

    def _leave(self, sub: Sub, consumer: Consumer) -> None:
        memory = self._memory
        with memory.changed:
            sub.consumers.remove(consumer)
            for sequence, (_, holder) in list(sub.out.items()):
                if holder is consumer:
                    memory.back(sub, sequence, holder, Attempt.OUTCOME_EXPIRED, "the consumer went away")

    def _read(self, sub: Sub, consumer: Consumer, requests: Any, ended: threading.Event) -> None:
        memory = self._memory
        try:
            for request in requests:
                with memory.changed:
                    self._heard(sub, consumer, request)
        except grpc.RpcError:
            pass  # The consumer went away.
        ended.set()

    def _heard(self, sub: Sub, consumer: Consumer, request: Any) -> None:
        memory = self._memory
        match request.WhichOneof("request"):
            case "credit":
                consumer.credit += request.credit.events
                memory.changed.notify_all()
            case "ack":
                for number in request.ack.deliveries:
                    memory.done(sub, consumer, number, lambda sequence: memory.ack(sub, consumer, sequence))
            case "nak":
                nak = request.nak
                delay = nak.delay.ToTimedelta().total_seconds()
                memory.done(
                    sub,
                    consumer,
                    nak.delivery,
                    lambda sequence: memory.back(sub, sequence, consumer, Attempt.OUTCOME_NAK, nak.error, delay),
                )
            case "reject":
                reject = request.reject
                memory.done(
                    sub, consumer, reject.delivery, lambda sequence: memory.bury(sub, sequence, consumer, reject.error)
                )
            case "in_progress":
                for number in request.in_progress.deliveries:
                    sequence = consumer.out.get(number)
                    if sequence in sub.out:
                        memory.renewals.append(sequence)
                        sub.out[sequence] = (time.monotonic() + sub.deadline, consumer)

    def Subscribe(self, request: Any, context: Any) -> Iterator[Any]:
        memory = self._memory
        with refusals(context), memory.changed:
            at = memory.begin(request.start)
        yield consume_service_pb2.SubscribeResponse()
        while context.is_active() and not memory.is_closed:
            with memory.changed:
                found = memory.stream[at - 1 :]
                if not found:
                    memory.changed.wait(0.02)
            at += len(found)
            events = [streamed(each) for each in found if fits(each.event, request.filter)]
            if events:
                yield consume_service_pb2.SubscribeResponse(events=events)


def streamed(stored: Stored) -> consume_service_pb2.StreamedEvent:
    return consume_service_pb2.StreamedEvent(
        event=stored.event, sequence=stored.sequence, store_time=stamp(stored.time)
    )


class Subscriptions(subscription_service_pb2_grpc.SubscriptionServiceServicer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def CreateSubscription(self, request: Any, context: Any) -> Any:
        memory, given = self._memory, request.subscription
        with memory.changed:
            if given.name in memory.subs:
                raise Refusal("SUBSCRIPTION_ALREADY_EXISTS", f"{given.name!r} exists", subscription=given.name)
            record = subscription_pb2.Subscription()
            record.CopyFrom(given)
            record.owner, record.etag = "user:ana", "1"
            record.max_attempts = record.max_attempts or 10
            record.max_outstanding = record.max_outstanding or 1000
            if not record.HasField("ack_deadline"):
                record.ack_deadline.FromSeconds(30)
            record.create_time.CopyFrom(stamp(time.time()))
            record.update_time.CopyFrom(record.create_time)
            sub = Sub(record)
            memory.fill(sub, record.start)
            memory.subs[record.name] = sub
        return subscription_service_pb2.CreateSubscriptionResponse(subscription=record)

    def GetSubscription(self, request: Any, context: Any) -> Any:
        return subscription_service_pb2.GetSubscriptionResponse(subscription=self._memory.sub(request.name).record)

    def ListSubscriptions(self, request: Any, context: Any) -> Any:
        wanted = dict(request.labels)
        records = [sub.record for _, sub in sorted(self._memory.subs.items())]
        fitting = [each for each in records if wanted.items() <= dict(each.labels).items()]
        found, token = page(fitting, request.page_size, request.page_token)
        return subscription_service_pb2.ListSubscriptionsResponse(subscriptions=found, next_page_token=token)

    def UpdateSubscription(self, request: Any, context: Any) -> Any:
        sub = self._memory.sub(request.subscription.name)
        if request.subscription.etag not in ("", sub.record.etag):
            raise Refusal("ETAG_MISMATCH", "another etag", etag=sub.record.etag)
        for path in request.update_mask.paths:
            sub.record.ClearField(path)
        changed = subscription_pb2.Subscription()
        request.update_mask.MergeMessage(request.subscription, changed)
        sub.record.MergeFrom(changed)
        sub.record.etag += "1"
        return subscription_service_pb2.UpdateSubscriptionResponse(subscription=sub.record)

    def DeleteSubscription(self, request: Any, context: Any) -> Any:
        self._memory.sub(request.name)
        del self._memory.subs[request.name]
        return subscription_service_pb2.DeleteSubscriptionResponse()

    def PauseSubscription(self, request: Any, context: Any) -> Any:
        record = self._memory.sub(request.name).record
        record.paused = True
        return subscription_service_pb2.PauseSubscriptionResponse(subscription=record)

    def ResumeSubscription(self, request: Any, context: Any) -> Any:
        record = self._memory.sub(request.name).record
        record.paused = False
        return subscription_service_pb2.ResumeSubscriptionResponse(subscription=record)

    def ReplaySubscription(self, request: Any, context: Any) -> Any:
        sub = self._memory.sub(request.name)
        with self._memory.changed:
            self._memory.fill(sub, request.start)
        return subscription_service_pb2.ReplaySubscriptionResponse(subscription=sub.record)

    def GetSubscriptionStatus(self, request: Any, context: Any) -> Any:
        sub = self._memory.sub(request.name)
        return subscription_service_pb2.GetSubscriptionStatusResponse(
            pending=len(sub.waiting),
            outstanding=len(sub.out),
            dead_letters=len(sub.dead),
            acknowledged_sequence=max(sub.acknowledged, default=0),
            consumers=len(sub.consumers),
        )

    def CheckSchemaChange(self, request: Any, context: Any) -> Any:
        broken = [
            subscription_service_pb2.BrokenBySchema(
                subscription=name, owner=sub.record.owner, field=f"filter.classes[{index}]", missing=missing
            )
            for name, sub in self._memory.subs.items()
            for index, missing in enumerate(sub.record.filter.classes)
            if missing in request.classes
        ]
        return subscription_service_pb2.CheckSchemaChangeResponse(broken=broken)


class DeadLetters(dead_letter_service_pb2_grpc.DeadLetterServiceServicer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def ListDeadLetters(self, request: Any, context: Any) -> Any:
        dead = self._memory.sub(request.subscription).dead
        found, token = page(list(dead.values()), request.page_size, request.page_token)
        return dead_letter_service_pb2.ListDeadLettersResponse(dead_letters=found, next_page_token=token)

    def RedriveDeadLetters(self, request: Any, context: Any) -> Any:
        memory = self._memory
        with memory.changed:
            sub = memory.sub(request.subscription)
            taken = self._take(sub, list(request.ids) or list(sub.dead))
            for letter in taken:
                sub.attempts.pop(letter.sequence, None)
                sub.waiting.append((0.0, letter.sequence))
            memory.changed.notify_all()
        return dead_letter_service_pb2.RedriveDeadLettersResponse(count=len(taken))

    def DeleteDeadLetters(self, request: Any, context: Any) -> Any:
        taken = self._take(self._memory.sub(request.subscription), list(request.ids))
        return dead_letter_service_pb2.DeleteDeadLettersResponse(count=len(taken))

    def ListAttempts(self, request: Any, context: Any) -> Any:
        account = reversed(self._memory.sub(request.subscription).account)
        fitting = [each for each in account if request.event_id in ("", each.event_id)]
        found, token = page(fitting, request.page_size, request.page_token)
        return dead_letter_service_pb2.ListAttemptsResponse(attempts=found, next_page_token=token)

    def _take(self, sub: Sub, ids: list[str]) -> list[Any]:
        for id in ids:
            if id not in sub.dead:
                raise Refusal("DEAD_LETTER_NOT_FOUND", f"no dead letter {id!r}", dead_letter=id)
        return [sub.dead.pop(id) for id in ids]


class Types(event_type_service_pb2_grpc.EventTypeServiceServicer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def PutEventType(self, request: Any, context: Any) -> Any:
        made = event_type_service_pb2.EventType()
        made.CopyFrom(request.event_type)
        made.etag, made.author = "1", "user:ana"
        made.update_time.CopyFrom(stamp(time.time()))
        self._memory.types[made.name] = made
        return event_type_service_pb2.PutEventTypeResponse(event_type=made)

    def GetEventType(self, request: Any, context: Any) -> Any:
        return event_type_service_pb2.GetEventTypeResponse(event_type=self._type(request.name))

    def ListEventTypes(self, request: Any, context: Any) -> Any:
        found, token = page(list(self._memory.types.values()), request.page_size, request.page_token)
        return event_type_service_pb2.ListEventTypesResponse(event_types=found, next_page_token=token)

    def DeleteEventType(self, request: Any, context: Any) -> Any:
        del self._memory.types[self._type(request.name).name]
        return event_type_service_pb2.DeleteEventTypeResponse()

    def GetEventStream(self, request: Any, context: Any) -> Any:
        memory = self._memory
        answer = event_type_service_pb2.GetEventStreamResponse(
            events=len(memory.stream),
            bytes=sum(each.event.ByteSize() for each in memory.stream),
            max_bytes=1 << 30,
            first_sequence=memory.first,
            last_sequence=len(memory.stream),
            replicas=1,
            sync_interval="always",
        )
        answer.max_age.FromSeconds(7 * 86_400)
        answer.deduplication_window.FromSeconds(120)
        if memory.stream:
            answer.first_time.CopyFrom(stamp(memory.stream[0].time))
        return answer

    def _type(self, name: str) -> Any:
        if name not in self._memory.types:
            raise Refusal("EVENT_TYPE_NOT_FOUND", f"no event type {name!r}", type=name)
        return self._memory.types[name]


@dataclass
class Gateway:
    """A gateway that can be killed and started again on its port."""

    memory: Memory = field(default_factory=Memory)
    port: int = 0
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        server = grpc.server(
            ThreadPoolExecutor(32), interceptors=[Doorkeeper(self.seen)], options=[("grpc.so_reuseport", 0)]
        )
        publish_service_pb2_grpc.add_PublishServiceServicer_to_server(Publishing(self.memory), server)
        consume_service_pb2_grpc.add_ConsumeServiceServicer_to_server(Consuming(self.memory), server)
        subscription_service_pb2_grpc.add_SubscriptionServiceServicer_to_server(Subscriptions(self.memory), server)
        dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server(DeadLetters(self.memory), server)
        event_type_service_pb2_grpc.add_EventTypeServiceServicer_to_server(Types(self.memory), server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """Ends every call at once."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None


@contextmanager
def serving() -> Iterator[Gateway]:
    gateway = Gateway()
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.memory.is_closed = True
        gateway.stop()
