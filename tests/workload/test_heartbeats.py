"""The driver learns of every worker's lines and of its end, in whatever form it comes."""

import queue
import threading

import pytest

from workload.errors import WorkloadError
from workload.heartbeats import DriverConnection, WorkerLost, WorkerMonitor

SECRET = b"s"


class Driver:
    """A WorkerMonitor with its callbacks as queues."""

    def __init__(self, timeout_s=30.0):
        self.lines, self.failed = queue.Queue(), threading.Event()
        self.end = WorkerMonitor("127.0.0.1", SECRET, self.lines.put, self.failed.set, timeout_s)
        self.address = ("127.0.0.1", self.end.port)


@pytest.fixture
def driver():
    made = Driver()
    yield made
    made.end.close()


def test_lines_arrive_whole_and_in_order(driver):
    line = DriverConnection(driver.address, SECRET, 0)
    for step in range(100):
        line.emit("interval", step=step, padding="x" * 3000)
    assert [driver.lines.get(timeout=10)["step"] for _ in range(100)] == list(range(100))
    line.done()


def test_a_worker_that_is_done_is_no_failure(driver):
    line = DriverConnection(driver.address, SECRET, 0)
    line.emit("interval", step=1)
    line.done()
    driver.lines.get(timeout=10)
    assert not driver.failed.wait(0.5)
    assert driver.end.reason() is None


def test_a_workers_own_words_are_the_reason(driver):
    DriverConnection(driver.address, SECRET, 3).failed(WorkloadError("the disk is full"))
    assert driver.failed.wait(10)
    assert driver.end.reason() == "worker 3 on 127.0.0.1: the disk is full"


def test_a_vanished_worker_is_noticed(driver):
    DriverConnection(driver.address, SECRET, 1)._link.shutdown(2)
    assert driver.failed.wait(10)
    assert driver.end.reason() == "worker 1 on 127.0.0.1 ended without a word: its process was killed or crashed"


def test_the_cause_is_told_rather_than_what_followed_from_it(driver):
    """Worker 0 only saw that worker 1 was gone; that worker 1 vanished is the cause, though it arrives later."""
    first, second = (DriverConnection(driver.address, SECRET, rank) for rank in range(2))
    first.failed(WorkerLost("worker 0 lost worker 1 during the all-reduce"))
    second._link.shutdown(2)
    assert driver.failed.wait(10)
    assert driver.end.reason().startswith("worker 1 ")


def test_silence_counts_as_a_loss(monkeypatch):
    monkeypatch.setattr("workload.heartbeats._BEAT_S", 1000.0)
    driver = Driver(timeout_s=0.3)
    line = DriverConnection(driver.address, SECRET, 2)
    assert driver.failed.wait(10)
    assert "worker 2 on 127.0.0.1 has been silent for 0 s" in driver.end.reason()
    line.done()
    driver.end.close()


def test_a_beating_worker_is_not_lost_however_long_it_computes(monkeypatch):
    monkeypatch.setattr("workload.heartbeats._BEAT_S", 0.02)
    driver = Driver(timeout_s=0.5)
    line = DriverConnection(driver.address, SECRET, 2)
    assert not driver.failed.wait(1.5)
    line.done()
    driver.end.close()
