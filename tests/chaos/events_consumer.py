"""A consumer in a process of its own, to be killed: appends what comes to a file, a JSON object a line, then acknowledges.

`python -m tests.chaos.events_consumer GATEWAYS TOKEN SUBSCRIPTION NAME FILE`, with commas between gateways.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ontomesh.events.v1 import consume_service_pb2
from tests.chaos.events_checker import Arrival
from tests.chaos.events_load import arrival_of, consume_forever


def main(gateways: str, token: str, subscription: str, name: str, path: str) -> None:
    """Consume until killed."""
    with Path(path).open("a", encoding="utf-8") as file:

        def record(deliveries: Sequence[consume_service_pb2.Delivery]) -> None:
            for one in deliveries:
                arrival = arrival_of(one.event, one.sequence, one.attempt, name)
                file.write(json.dumps(asdict(arrival)) + "\n")
            file.flush()

        asyncio.run(consume_forever(gateways.split(","), token, subscription, name, record, Counter()))


def recorded(path: Path, offset: int) -> tuple[list[Arrival], int]:
    """What a consumer's file holds beyond an offset, and where that ends; a line that is not whole yet is left out."""
    with path.open("rb") as file:
        file.seek(offset)
        whole = file.read().rpartition(b"\n")[0]
    return [Arrival(**json.loads(line)) for line in whole.splitlines()], offset + len(whole) + bool(whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
