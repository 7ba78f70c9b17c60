"""A service to try the supervisor with: it says that it is ready, answers /readyz, and does as its argument says.

serve: serves until SIGTERM or the end of its lifeline. refuse: ends at once with exit code 7. silent: never gets ready.
stubborn: serves and ignores SIGTERM. dull: closes its ready pipe without a word.
"""

import json
import os
import select
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def main(mode: str) -> int:
    print(f"stand-in begins: {mode}", flush=True)
    if mode == "refuse":
        print("no such luck", file=sys.stderr)
        return 7
    lifeline = int(os.environ["ONTOMESH_LIFELINE_FD"])
    ready = int(os.environ["ONTOMESH_READY_FD"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else lambda *_: sys.exit(0))
    if mode == "dull":
        os.close(ready)
    elif mode != "silent":
        server = HTTPServer(("127.0.0.1", int(os.environ["STAND_IN_PORT"])), Ready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        os.write(ready, json.dumps({"grpc": address, "http": f"http://{address}"}).encode() + b"\n")
    while True:
        select.select([lifeline], [], [])
        if os.read(lifeline, 1) == b"":
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
