"""Only processes that know the run's secret get through."""

import socket
import threading

import pytest

from workload import transport
from workload.errors import WorkloadError

SECRET = b"the run's secret"


@pytest.fixture
def listener():
    made = transport.listen("127.0.0.1")
    yield made
    made.close()


def accepting(listener, timeout_s=10.0):
    """Accept in a thread; ``join`` it, then look into the list."""
    accepted = []
    thread = threading.Thread(target=lambda: accepted.append(transport.accept(listener, SECRET, timeout_s)))
    thread.start()
    return thread, accepted


def test_both_ends_with_the_secret_exchange_bytes(listener):
    thread, accepted = accepting(listener)
    with transport.connect(listener.getsockname(), SECRET) as link:
        thread.join()
        with accepted[0]:
            link.sendall(b"hello")
            received = bytearray(5)
            transport.receive_exactly(accepted[0], received)
    assert received == b"hello"


def test_strangers_are_turned_away_and_do_not_block_the_next(listener):
    thread, accepted = accepting(listener)
    with socket.create_connection(listener.getsockname()) as silent_then_gone:
        silent_then_gone.sendall(b"GET / HTTP/1.0\r\n\r\n" + b"x" * 100)
    with pytest.raises(WorkloadError):
        transport.connect(listener.getsockname(), b"a guess")
    with transport.connect(listener.getsockname(), SECRET):
        thread.join()
    assert len(accepted) == 1
    accepted[0].close()


def test_a_server_without_the_secret_is_refused(listener):
    """The client, too, finds out: nobody gets gradients by listening on a known port."""

    def impostor():
        link, _ = listener.accept()
        with link:
            link.sendall(b"c" * 32 + b"r" * 32)
            link.recv(1000)

    thread = threading.Thread(target=impostor)
    thread.start()
    with pytest.raises(WorkloadError, match="secret"):
        transport.connect(listener.getsockname(), SECRET)
    thread.join()


def test_nobody_comes(listener):
    with pytest.raises(WorkloadError, match=r"nobody connected to 127\.0\.0\.1"):
        transport.accept(listener, SECRET, timeout_s=0.05)


def test_nobody_listens(listener):
    address = listener.getsockname()
    listener.close()
    with pytest.raises(WorkloadError, match=f"no connection to 127.0.0.1:{address[1]}"):
        transport.connect(address, SECRET)


def test_an_address_of_another_machine_cannot_be_bound():
    with pytest.raises(WorkloadError, match=r"cannot listen on 192\.0\.2\.1"):
        transport.listen("192.0.2.1")
