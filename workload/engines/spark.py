"""Spark barrier tasks, one worker each, gradients all-reduced between them.

Every executor offers one core slot and runs one task, which inherits the CPU pinning of the Spark worker it lives in.
The tasks learn each other's addresses with the barrier's allGather and report to the driver over ``heartbeats``, so
that lines come out while training goes on and a lost task ends the job at once.
"""

import json
import os
import sys
import time

from workload import check, hardware, heartbeats, transport
from workload.engines import cluster
from workload.errors import UsageError, WorkloadError
from workload.report import summary

# After the start, which waits for executors as well. A machine under load takes its time to begin, but once executors
# come the others are not far behind.
_FIRST_EXECUTOR_WITHIN_S = 90
_NEXT_EXECUTOR_WITHIN_S = 15
_SETTINGS = {
    # The barrier needs all its slots at once: wait for the executors before the first job.
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "30s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "5s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
    # A lost task fails the job with its reason; people resume from the checkpoint, Spark does not start over unasked.
    "spark.stage.maxConsecutiveAttempts": "1",
    "spark.task.maxFailures": "1",
    "spark.executorEnv.GLIBC_TUNABLES": hardware.GLIBC_TUNABLES,
    "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL": "2",
    "spark.ui.showConsoleProgress": "false",
}


def run(config, reporter):
    """Run as one barrier job of ``config.workers`` tasks (default: as many as the application has slots).

    Raises:
        UsageError: the cluster has fewer slots, or the data is not what the model expects.
        WorkloadError: the job failed, with the reason of the worker that failed first.
    """
    if os.path.exists(config.data):  # where it is not, the workers say so: the driver needs none
        check.of_run(config)
    context = _context(config)
    try:
        workers = config.workers or _slots(context)
        _wait_for_executors(context, workers)
        config = config._replace(workers=workers, threads=_threads(context, config.threads))
        with cluster.shipped(context):
            results = _barrier_job(context, config, reporter)
        first = min(results, key=lambda result: result["rank"])
        versions = dict(first["versions"], pyspark=context.version)
        reporter.emit("summary", **summary(config, results, versions, first["host"]))
    finally:
        context.stop()


def _context(config):
    try:
        from pyspark import SparkConf, SparkContext
    except ImportError:
        raise UsageError("--engine spark needs pyspark; install it or start this with spark-submit") from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        SparkContext._ensure_initialized()  # only then does SparkConf see what spark-submit was told
    except Exception as error:
        raise WorkloadError(
            "Spark did not start: %s; it needs a Java runtime, 17 or later for Spark 4" % error
        ) from error
    conf = SparkConf()
    for key, value in _SETTINGS.items():
        conf.setIfMissing(key, value)
    # Always: spark-submit would call every run by the name of the file that it starts.
    conf.setAppName("%s %s %s" % (config.model, config.mode, config.dtype))
    if config.master:
        conf.setMaster(config.master)
    conf.setIfMissing("spark.master", "local[%d]" % (config.workers or 1))
    conf.setIfMissing("spark.executor.cores", "1")
    if config.workers:
        conf.setIfMissing("spark.cores.max", str(config.workers * int(conf.get("spark.executor.cores"))))
    try:
        context = SparkContext(conf=conf)
    except Exception as error:  # py4j wraps whatever Java threw
        raise WorkloadError("Spark did not start: %s" % cluster.java_reason(error)) from error
    return context


def _slots(spark):
    """How many tasks the application can run at once, by its settings."""
    if spark.master.startswith("local"):
        return spark.defaultParallelism
    cores = spark.getConf().get("spark.cores.max")
    if not cores:
        raise UsageError("say how many workers: --workers N, or spark-submit --total-executor-cores N")
    return int(cores)


def _wait_for_executors(spark, workers):
    """Wait until the executors for all workers are there.

    Raises:
        UsageError: they do not come.
    """
    if spark.master.startswith("local"):
        slots = spark.defaultParallelism
    else:
        cores = int(spark.getConf().get("spark.executor.cores"))
        tracker = spark._jsc.sc().statusTracker()
        deadline = time.monotonic() + _FIRST_EXECUTOR_WITHIN_S
        slots = 0
        while slots < workers and time.monotonic() < deadline:
            time.sleep(0.1)
            executor_slots = max(0, len(tracker.getExecutorInfos()) - 1) * cores  # the driver counts as one of them
            if executor_slots > slots:
                deadline = time.monotonic() + _NEXT_EXECUTOR_WITHIN_S
            slots = executor_slots
    if slots < workers:
        raise UsageError(
            "%d workers need as many executor slots and %s offers %d; start more Spark workers or lower --workers"
            % (workers, spark.master, slots)
        )


def _threads(spark, asked):
    """Threads for each worker when somebody said so; None lets each task count the cores it is pinned to.

    The tasks' own OMP_NUM_THREADS says nothing: Spark sets it to the number of slots, here always 1.
    """
    setting = os.environ.get("OMP_NUM_THREADS") or spark.getConf().get("spark.executorEnv.OMP_NUM_THREADS") or ""
    return asked or (int(setting) if setting.isdigit() else None)


def _barrier_job(spark, config, reporter):
    secret = os.urandom(32)
    conf = spark.getConf()
    driver = conf.get("spark.driver.host")
    end = heartbeats.WorkerMonitor(
        conf.get("spark.driver.bindAddress", driver),
        secret,
        lambda line: reporter.emit_object(_with_pyspark(line, spark.version)),
        spark.cancelAllJobs,
        config.worker_timeout_s,
    )
    address = (driver, end.port)
    try:
        job = spark.parallelize(range(config.workers), config.workers).barrier()
        results = job.mapPartitions(lambda _: [_task(config, address, secret)]).collect()
    except Exception as error:  # py4j wraps whatever Java threw
        raise WorkloadError(end.reason() or "the Spark job failed: %s" % cluster.java_reason(error)) from error
    finally:
        end.close()
    return [json.loads(text) for text in results]


def _task(config, driver, secret):
    """One worker, in a barrier task: its result as JSON."""
    from pyspark import BarrierTaskContext

    from workload import worker
    from workload.collective import Ring

    context = BarrierTaskContext.get()
    rank = context.partitionId()
    line = heartbeats.DriverConnection(driver, secret, rank)
    ring = None
    try:
        own_host = context.getTaskInfos()[rank].address.rsplit(":", 1)[0]
        with transport.listen(own_host) as listener:
            own = "%s:%d" % (own_host, listener.getsockname()[1])
            addresses = [_address(where) for where in context.allGather(own)]
            ring = Ring(rank, addresses, listener, secret) if len(addresses) > 1 else None
        threads = config.threads or hardware.physical_cores(os.sched_getaffinity(0))
        hosts = [name for name, _ in addresses]

        def emit(event, **fields):
            line.emit(event, **(dict(fields, worker_hosts=hosts) if event == "start" else fields))

        result = worker.run(config._replace(threads=threads), emit, rank, ring)
        line.done()
    except BaseException as error:
        line.failed(error)
        raise
    finally:
        if ring:
            ring.close()
    facts = {"rank": rank, "versions": hardware.versions("tensorflow", "numpy"), "host": hardware.facts()}
    return json.dumps(dict(result, **facts))


def _address(text):
    name, _, port = text.rpartition(":")
    return name, int(port)


def _with_pyspark(line, version):
    return dict(line, versions=dict(line["versions"], pyspark=version)) if "versions" in line else line
