"""The ring and the bucketed reducer: exact means, whatever the sizes, and no hanging when a worker is lost."""

import threading
from concurrent import futures

import numpy as np
import pytest

from workload import transport
from workload.collective import GradientReducer, Ring
from workload.heartbeats import WorkerLost

SECRET = b"s"


def rings(size):
    """A ring of that many members, all in this process."""
    listeners = [transport.listen("127.0.0.1") for _ in range(size)]
    addresses = [listener.getsockname() for listener in listeners]
    with futures.ThreadPoolExecutor(size) as pool:
        made = list(pool.map(lambda rank: Ring(rank, addresses, listeners[rank], SECRET), range(size)))
    for listener in listeners:
        listener.close()
    return made


def together(calls):
    """Run the calls side by side; their results in order."""
    with futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(call) for call in calls]]


@pytest.fixture
def ring_of():
    made = []

    def make(size):
        made.extend(rings(size))
        return made[-size:]

    yield make
    for ring in made:
        ring.close()


@pytest.fixture
def reducers_of(ring_of):
    made = []

    def make(size, shapes):
        made.extend(GradientReducer(ring, shapes) for ring in ring_of(size))
        return made[-size:]

    yield make
    for reducer in made:
        reducer.close()


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("count", [1, 4, 7, 1000, 300_001])
def test_all_reduce_is_the_mean_on_every_worker(ring_of, size, count):
    """Also with fewer values than workers, and with sizes that no worker count divides."""
    arrays = [np.random.default_rng(rank).normal(size=count).astype(np.float32) for rank in range(size)]
    expected = np.mean(np.stack(arrays).astype(np.float64), axis=0)
    members = ring_of(size)
    together([lambda ring=ring, array=array: ring.all_reduce_mean(array) for ring, array in zip(members, arrays)])
    for array in arrays:
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(array, arrays[0], "every worker must hold the very same bits")


def test_broadcast_gives_everybody_rank_0s_values(ring_of):
    arrays = [np.full((3, 5), rank, np.int64) for rank in range(3)]
    together([lambda ring=ring, array=array: ring.broadcast(array) for ring, array in zip(ring_of(3), arrays)])
    for array in arrays:
        np.testing.assert_array_equal(array, np.zeros((3, 5)))


def test_buckets_in_any_order_are_reduced_in_theirs(reducers_of):
    """Two workers whose backward passes finish their buckets in opposite order still agree, step after step."""
    shapes = [[(3, 3), ()], [(5,), (2, 1)], [(70_000,)]]
    reducers = reducers_of(2, shapes)

    def step(rank, number):
        for bucket in [0, 1, 2] if rank else [2, 1, 0]:
            value = 10.0 * bucket + rank + 100.0 * number
            reducers[rank].submit(bucket, [np.full(shape, value, np.float32) for shape in shapes[bucket]])
        return [np.array(mean) for mean in reducers[rank].wait()]

    for number in range(3):
        for means in together([lambda rank=rank: step(rank, number) for rank in range(2)]):  # noqa: B023
            assert [mean.shape for mean in means] == [(3, 3), (), (5,), (2, 1), (70_000,)]
            expected = [value + 100 * number for value in (0.5, 0.5, 10.5, 10.5, 20.5)]
            assert [mean.flat[0] for mean in means] == expected


def test_results_are_aligned_for_tensorflow_to_take_over(reducers_of):
    reducers = reducers_of(2, [[(3,), (5,)], [(7,)]])

    def step(reducer):
        reducer.submit(0, [np.zeros(3, np.float32), np.zeros(5, np.float32)])
        reducer.submit(1, [np.zeros(7, np.float32)])
        return reducer.wait()

    for means in together([lambda reducer=reducer: step(reducer) for reducer in reducers]):
        assert all(mean.ctypes.data % 64 == 0 for mean in means)


def test_a_lost_worker_ends_the_wait_and_is_named(reducers_of):
    first, second, third = reducers_of(3, [[(1000,)]])
    waiting = futures.ThreadPoolExecutor(2)
    for reducer in (first, third):
        reducer.submit(0, [np.zeros(1000, np.float32)])
    waits = [waiting.submit(reducer.wait) for reducer in (first, third)]
    second.close()
    reasons = [str(wait.exception(30)) for wait in waits]
    assert any("lost worker 1" in reason for reason in reasons), reasons
    with pytest.raises(WorkerLost):
        first.wait()
    waiting.shutdown()


def test_closing_ends_the_threads(reducers_of):
    before = set(threading.enumerate())
    reducers = reducers_of(2, [[(4,)]])
    started = set(threading.enumerate()) - before
    assert len(started) == 4, "a sender and a reducing thread each"
    for reducer in reducers:
        reducer.close()
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
