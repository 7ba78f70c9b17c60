"""A bare grpc.aio server that answers every call with what it got: the most that a call can reach."""

import asyncio
import sys

import grpc
import uvloop
from grpc import aio

METHOD = "/bench.Echo/Echo"


async def main() -> None:
    """Serve until standard input ends; the port goes to standard output."""
    server = aio.server()

    async def echo(request: bytes, context: object) -> bytes:
        return request

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
