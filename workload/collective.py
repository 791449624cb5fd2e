"""All-reduce between the worker processes: a ring over TCP, run beside the backward pass.

Why not TensorFlow's own collectives: measured on two workers pinned to one core each, its gRPC ring took four to six
times as long for ResNet-50's 25.6 million gradients, and when a peer dies its operations wait for ever. Here a dead
peer closes its sockets, which fails the step at once.

The algorithm is the usual one (reduce-scatter, then all-gather; Patarasuk and Yuan 2009): each of N workers sends and
receives 2 (N-1)/N of the buffer. Buffers are float32.
"""

import queue
import threading
from concurrent import futures

import numpy as np

from workload import transport
from workload.heartbeats import WorkerLost

_BLOCK = 1 << 17  # float32 values added at a time: 512 KiB stays in the level 2 cache
_ALIGN = 16  # float32 values: 64 bytes, so that TensorFlow takes results over without a copy


class Ring(object):
    """This worker's place in the ring.

    Args:
        rank: 0 to ``size`` - 1.
        addresses: ``(host, port)`` of every worker's listener, by rank.
        listener: this worker's own listening socket.
        secret: bytes that all workers share.

    Raises:
        WorkloadError: a neighbour cannot be reached, or (WorkerLost, from the operations) was lost.
    """

    def __init__(self, rank, addresses, listener, secret):
        self.rank = rank
        self.size = len(addresses)
        self._scratch = np.empty(_BLOCK, np.float32)
        self._outbox = queue.Queue()
        self._send_error = None
        # Both at once: each connection is made only when both its ends take part.
        with futures.ThreadPoolExecutor(1) as pool:
            previous = pool.submit(transport.accept, listener, secret)
            self._next = transport.connect(addresses[(rank + 1) % self.size], secret)
            self._previous = previous.result()
        self._sender = threading.Thread(target=self._send_all, name="ring-sender", daemon=True)
        self._sender.start()

    def all_reduce_mean(self, buffer):
        """Replace the flat float32 buffer by its mean over the workers, in place. Every worker calls it alike."""
        parts = self._parts(buffer)
        for step in range(self.size - 1):
            sent = self._send(parts[(self.rank - step) % self.size])
            self._receive_and_add(parts[(self.rank - step - 1) % self.size])
            self._finish(sent)
        own = parts[(self.rank + 1) % self.size]
        np.multiply(own, np.float32(1.0 / self.size), out=own)
        for step in range(self.size - 1):
            sent = self._send(parts[(self.rank - step + 1) % self.size])
            self._receive(parts[(self.rank - step) % self.size])
            self._finish(sent)

    def broadcast(self, buffer):
        """Replace the contiguous array by rank 0's, in place."""
        flat = buffer.reshape(-1).view(np.uint8)
        if self.rank > 0:
            self._receive(flat)
        if self.rank < self.size - 1:
            self._finish(self._send(flat))

    def close(self):
        """End both connections; a neighbour that still waits sees the loss at once."""
        self._outbox.put(None)
        for link in (self._next, self._previous):
            try:
                link.shutdown(2)
            except OSError:  # already gone on the other side
                pass
            link.close()

    def _parts(self, buffer):
        bounds = [len(buffer) * index // self.size for index in range(self.size + 1)]
        return [buffer[start:end] for start, end in zip(bounds, bounds[1:])]

    def _send(self, part):
        sent = threading.Event()
        self._outbox.put((part, sent))
        return sent

    def _finish(self, sent):
        sent.wait()
        if self._send_error is not None:
            self._lost(1, self._send_error)

    def _send_all(self):
        while True:
            item = self._outbox.get()
            if item is None:
                return
            part, sent = item
            try:
                self._next.sendall(memoryview(part).cast("B"))
            except OSError as error:
                self._send_error = error
            sent.set()

    def _receive(self, part):
        try:
            transport.receive_exactly(self._previous, memoryview(part).cast("B"))
        except OSError as error:
            self._lost(-1, error)

    def _receive_and_add(self, part):
        for start in range(0, len(part), _BLOCK):
            block = part[start : start + _BLOCK]
            received = self._scratch[: len(block)]
            self._receive(received)
            np.add(block, received, out=block)

    def _lost(self, direction, error):
        peer = (self.rank + direction) % self.size
        raise WorkerLost("worker %d lost worker %d during the all-reduce: %s" % (self.rank, peer, error))


class GradientReducer(object):
    """All-reduces a step's gradients in buckets, each as soon as the backward pass has made it.

    ``submit`` hands a bucket over and returns; a thread of its own passes the buckets round the ring in their order,
    whatever order the gradients came in; ``wait`` gives the means back.

    Args:
        ring: the Ring.
        shapes: one list of array shapes for each bucket.

    ``error`` is what ended it, None while all is well.
    """

    def __init__(self, ring, shapes):
        self._ring = ring
        self._views, self._buffers = [], []
        for bucket in shapes:
            sizes = [int(np.prod(shape)) for shape in bucket]
            starts = np.cumsum([0] + [-(-size // _ALIGN) * _ALIGN for size in sizes])
            buffer = _aligned_zeros(int(starts[-1]))
            self._buffers.append(buffer)
            self._views.append(
                [buffer[at : at + size].reshape(shape) for at, size, shape in zip(starts, sizes, bucket)]
            )
        self._ready = [threading.Event() for _ in shapes]
        self._done = queue.Queue()
        self.error = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="all-reduce", daemon=True)
        self._thread.start()

    def submit(self, bucket, gradients):
        """Copy this bucket's gradients in and let it go round."""
        for view, gradient in zip(self._views[bucket], gradients):
            np.copyto(view, gradient)
        self._ready[bucket].set()

    def wait(self):
        """The means of all gradients of this step, bucket by bucket; valid until the next step submits.

        Raises:
            WorkerLost: a worker was lost.
        """
        self._done.get()
        if self.error is not None:
            self._done.put(None)  # a further call must not wait
            raise self.error
        return [view for bucket in self._views for view in bucket]

    def close(self):
        """End the thread and the ring."""
        self._closing = True
        for event in self._ready:
            event.set()
        self._ring.close()

    def _run(self):
        try:
            while True:
                for event, buffer in zip(self._ready, self._buffers):
                    event.wait()
                    event.clear()
                    if self._closing:
                        return
                    self._ring.all_reduce_mean(buffer)
                self._done.put(None)
        except Exception as error:  # handed to the thread that waits
            self.error = error
            self._ring.close()  # so that the loss travels on round the ring
            self._done.put(None)


def _aligned_zeros(count):
    raw = np.zeros(count * 4 + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + count * 4].view(np.float32)
