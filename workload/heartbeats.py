"""The line from each worker to the driver: events, failures and signs of life, as JSON lines over TCP.

The driver learns of a worker's end in any form: it says so itself, its connection closes without that (killed,
crashed), or it falls silent for too long (stopped, machine or network gone).
"""

import json
import selectors
import threading
import time

from workload import transport
from workload.errors import WorkloadError

_BEAT_S = 1.0
_SETTLE_S = 2.0  # after a first failure, how long its cause may take to arrive as well

# Causes, the more telling first: a worker's own error, a worker that vanished, one that only noticed another's loss.
_OWN, _VANISHED, _NOTICED = range(3)


class WorkerLost(WorkloadError):
    """This worker is well but another one is gone."""


class DriverConnection(object):
    """A worker's end. ``emit`` has the Reporter's form; a thread says every second that the process is alive."""

    def __init__(self, address, secret, rank):
        self._link = transport.connect(address, secret)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._write({"rank": rank})
        threading.Thread(target=self._beat, name="alive", daemon=True).start()

    def emit(self, event, **fields):
        """Pass one line on to the driver's standard output."""
        self._write({"line": dict([("event", event)] + list(fields.items()))})

    def failed(self, error):
        """Say why this worker gives up."""
        self._end({"failed": str(error) or repr(error), "cause": _NOTICED if isinstance(error, WorkerLost) else _OWN})

    def done(self):
        """Say that this worker has finished its part."""
        self._end({"done": True})

    def _end(self, message):
        self._ended.set()
        try:
            self._write(message)
        except OSError:  # the driver is gone: Spark ends this process
            pass
        self._link.close()

    def _write(self, message):
        with self._lock:
            self._link.sendall((json.dumps(message) + "\n").encode())

    def _beat(self):
        while not self._ended.wait(_BEAT_S):
            try:
                self._write({})
            except OSError:  # the driver is gone, or this worker has just ended
                return


class WorkerMonitor(object):
    """The driver's end: passes lines to ``on_line`` and calls ``on_failure`` once when the run cannot succeed.

    Args:
        host: the address to listen on.
        secret: bytes that the workers know.
        on_line: called with each event object of a worker.
        on_failure: called without arguments, from this object's thread.
        timeout_s: how long a worker may be silent.
    """

    def __init__(self, host, secret, on_line, on_failure, timeout_s):
        self._listener = transport.listen(host)
        self.port = self._listener.getsockname()[1]
        self._secret, self._on_line, self._on_failure, self._timeout_s = secret, on_line, on_failure, timeout_s
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._failures = []
        self._first_failure_at = None
        self._told = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="workers", daemon=True)
        self._thread.start()

    def reason(self):
        """Why the run failed, the most telling cause of those that arrived; None when no worker said anything."""
        if self._failures:
            self._told.wait(_SETTLE_S)
        return min(self._failures)[1] if self._failures else None

    def close(self):
        """Stop listening and hang up."""
        self._closing = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # sockets, all of them
        self._selector.close()

    def _serve(self):
        while not self._closing:
            for key, _ in self._selector.select(0.2):
                if key.data is None:
                    self._admit()
                else:
                    self._read(key.fileobj, key.data)
            self._find_silent()
            if self._first_failure_at and not self._told.is_set():
                if time.monotonic() - self._first_failure_at > _SETTLE_S or min(self._failures)[0] == _OWN:
                    self._told.set()
                    self._on_failure()

    def _admit(self):
        try:
            link = transport.accept(self._listener, self._secret, 5.0)
        except WorkloadError:  # a stranger knocked and left
            return
        self._selector.register(link, selectors.EVENT_READ, _Worker())

    def _read(self, link, worker):
        try:
            data = link.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._hang_up(link)
            if not worker.ended:
                self._fail(_VANISHED, "%s ended without a word: its process was killed or crashed" % worker)
            return
        worker.heard_at = time.monotonic()
        for message in worker.messages(data):
            if "rank" in message:
                worker.rank, worker.address = message["rank"], link.getpeername()[0]
            elif "line" in message:
                self._on_line(message["line"])
            elif "failed" in message:
                worker.ended = True
                self._fail(message["cause"], "%s: %s" % (worker, message["failed"]))
            elif "done" in message:
                worker.ended = True

    def _find_silent(self):
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            worker = key.data
            if worker and not worker.ended and now - worker.heard_at > self._timeout_s:
                self._hang_up(key.fileobj)
                self._fail(_VANISHED, "%s has been silent for %.0f s" % (worker, self._timeout_s))

    def _fail(self, cause, message):
        self._failures.append((cause, message))
        self._first_failure_at = self._first_failure_at or time.monotonic()

    def _hang_up(self, link):
        self._selector.unregister(link)
        link.close()


class _Worker(object):
    def __init__(self):
        self.rank, self.address, self.ended = None, "?", False
        self.heard_at = time.monotonic()
        self._partial = b""

    def __str__(self):
        return "worker %s on %s" % (self.rank, self.address)

    def messages(self, data):
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        return [json.loads(line.decode()) for line in lines]
