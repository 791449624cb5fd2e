"""The simulator on a port: `Simulator` inside this process, `serve` for a process of its own.

http.server rather than werkzeug's: that one closes the connection after every response, and this one, with Nagle off
and one write per response, answers kept-alive calls in well under a millisecond.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from provisioner.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SSH_PORT, accepted_key_pair, callers, wire
from provisioner.simulator.account import BALANCE, QUOTAS, Account, Durations
from provisioner.simulator.faults import Faults
from provisioner.simulator.machines import factory as machine_factory
from provisioner.simulator.machines.fleet import Fleet
from provisioner.simulator.service import Service
from provisioner.simulator.signature import Gate

log = logging.getLogger(__name__)

TICK_S = 0.25
ADMIN = "/_simulator/"


class Simulator:
    """A simulator in this process; use it as a context manager. Raises OSError when the port is taken.

    Args:
        port: where to listen on 127.0.0.1; 0 for any free port.
        machines: what stands behind instances (machines.KINDS).
        pace: how long state changes take; 1 is about a second for a start, 0 at once, 30 about the real service.
        clock: the time of day in seconds since 1970; `advance` moves the simulator's away from it.
        state_file: where the account is kept, and read from when it exists.
        faults: what goes wrong (faults.py).
        folder: where machines keep their files, also after the end; a temporary one, removed then, when not given.
        ssh_port: of process machines.
        window_s: how old a signed request may be, in seconds; None for any age.
        quotas, balance: limits of the account (account.QUOTAS), and its money.
        simulator_id: marks what belongs to this simulator.

    Attributes:
        endpoint: `http://127.0.0.1:PORT`.
        port: the port.
        key_pair: the (id, secret) that it accepts beside the fixed one.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        machines: str = "none",
        pace: float = 1.0,
        clock: Callable[[], float] = time.time,
        state_file: Path | None = None,
        faults: Sequence[Mapping[str, Any]] = (),
        folder: Path | None = None,
        ssh_port: int = SSH_PORT,
        window_s: float | None = 900,
        quotas: Mapping[str, int] | None = None,
        balance: float = BALANCE,
        simulator_id: str = "",
    ) -> None:
        self._http = _Server(("127.0.0.1", port), self)
        self.port: int = self._http.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.key_pair = accepted_key_pair()
        self.machines = machines
        self.simulator_id = simulator_id or uuid.uuid4().hex[:12]
        self.stopping = threading.Event()
        self.last_call = time.monotonic()
        self._clock = clock
        self._advanced_s = 0.0
        self._state_file = state_file
        self._own_folder = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="provisioner-simulator-"))
        self._lock = threading.RLock()
        factory = machine_factory(machines, self.simulator_id, self._folder / "machines", ssh_port=ssh_port)
        self._fleet = Fleet(factory, self._lock)
        account = Account(self._fleet, Durations.at_pace(pace), self.now, quotas={**QUOTAS, **(quotas or {})})
        account.balance = balance
        self.service = Service(
            account,
            Gate(dict([(ACCESS_KEY_ID, ACCESS_KEY_SECRET), self.key_pair]), window_s=window_s),
            Faults(faults),
            self._lock,
            state_file=state_file,
            stopping=self.stopping,
        )
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Simulator:
        with self._lock:
            if self._state_file is not None and self._state_file.exists():
                self.service.account.restore(self._state_file)
            self.service.save()  # whoever reads it next is the same account
        for work in (lambda: self._http.serve_forever(poll_interval=0.05), self._tick):
            thread = threading.Thread(target=work, daemon=True, name=f"simulator-{self.port}")
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        for thread in self._threads:
            thread.join()
        with self._lock:
            self.service.save()
        self._fleet.close()
        if self._own_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every API call received, in order: action, version, params, status, code, at, request_id.

        `at` is simulated time in seconds since 1970; `status` 0 stands for a call that got no answer.
        """
        with self._lock:
            return list(self.service.calls)

    @property
    def resources(self) -> list[dict[str, Any]]:
        """Everything that exists now: kind, id, name, tags."""
        with self._lock:
            now = self.now()
            self.service.account.settle(now)
            return self.service.account.resources(now)

    def set_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Replace the faults that are set."""
        with self._lock:
            self.service.faults.set(faults)

    def now(self) -> float:
        """The simulated time, in seconds since 1970."""
        return self._clock() + self._advanced_s

    def advance(self, seconds: float) -> None:
        """Move the simulated time on."""
        with self._lock:
            self._advanced_s += seconds
            self.service.account.settle(self.now())

    def _tick(self) -> None:
        while not self.stopping.wait(TICK_S):
            self.service.settle()


def serve(
    *,
    machines: str = "process",
    idle_exit_s: float | None = None,
    on_ready: Callable[[Simulator], None] = lambda _: None,
    **options: Any,
) -> None:
    """Run a simulator until it is told to stop (`POST /_simulator/shutdown`, SIGTERM, KeyboardInterrupt).

    Args:
        machines: what stands behind instances.
        idle_exit_s: end by itself once it has held nothing and was not called for so long.
        on_ready: called once it listens.
        options: the others of Simulator.
    """
    with Simulator(machines=machines, **options) as simulator:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: simulator.stopping.set())
        on_ready(simulator)
        while not simulator.stopping.wait(TICK_S):
            idle_s = time.monotonic() - simulator.last_call
            if idle_exit_s is not None and idle_s > idle_exit_s and not simulator.resources:
                return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End connections that clients keep alive."""
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client may be faster
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # a response is one write
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._welcome = callers.own_user(self.client_address, self.connection.getsockname())

    def _handle(self) -> None:
        simulator = self.server.simulator
        simulator.last_call = time.monotonic()
        if "transfer-encoding" in self.headers:  # none of the service's clients does that
            self.send_error(411)
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = wire.parse(self.command, self.path, dict(self.headers.items()), body)
        # A whole URL is what clients send to a proxy, and no browser to a page's own host.
        ours = self.path.startswith("http://") or callers.for_us(request, self.connection.getsockname())
        if not (self._welcome and ours) or callers.from_a_page(request):
            response = wire.Response(403, b'{"error": "this simulator serves the programs of its own user alone"}')
        elif request.path.startswith(ADMIN):
            response = _administer(simulator, request)
        else:
            response = simulator.service.handle(request)
        self._send(response)
        if (response.status, request.method, request.path) == (200, "POST", f"{ADMIN}shutdown"):
            simulator.stopping.set()

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _send(self, response: wire.Response) -> None:
        if response.status == 0:
            self.close_connection = True
            return
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _administer(simulator: Simulator, request: wire.Request) -> wire.Response:
    """The paths under /_simulator/, unsigned: what exists, what was called, what goes wrong, what time it is."""
    name = f"{request.method} {request.path.removeprefix(ADMIN)}"
    try:
        given = json.loads(request.body) if request.body else None
        if name == "GET health":
            answer: Any = {"status": "ok", "id": simulator.simulator_id, "machines": simulator.machines}
        elif name == "GET resources":
            answer = simulator.resources
        elif name == "GET calls":
            answer = simulator.calls
        elif name == "POST faults":
            simulator.set_faults([given] if isinstance(given, dict) else given or [])
            answer = {}
        elif name == "POST clock":
            simulator.advance(float((given or {})["advance_s"]))
            answer = {"now": simulator.now()}
        elif name == "POST shutdown":
            answer = {}
        else:
            return wire.Response(404, b'{"error": "no such path"}')
    except (ValueError, KeyError, TypeError) as error:
        return wire.Response(400, json.dumps({"error": str(error)}).encode())
    return wire.Response(200, json.dumps(answer).encode())
