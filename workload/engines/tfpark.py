"""Analytics Zoo's TFPark: the paper's engine. TensorFlow 1.15, BigDL's all-reduce, one replica per executor.

Throughput is what BigDL itself logs for each iteration: ``Throughput is N records/second. Loss is L.``
"""

import glob
import inspect
import os
import re
import sys
import tempfile
import threading

import tensorflow.compat.v1 as tf

from workload import check, checkpoint, data, datasets, hardware, layouts, optimizer, resnet, session, variables
from workload.config import SYNTHETIC
from workload.engines import cluster
from workload.errors import UsageError, WorkloadError
from workload.models import MODELS
from workload.report import summary

_POLL_S = 0.2
_SYNTHETIC_IMAGES = 32  # different ones, dealt out again and again
_LOGGERS = ("com.intel.analytics.bigdl.optim", "com.intel.analytics.zoo")
_ITERATION = re.compile(
    r"\[Iteration (\d+)\].*Trained (\S+) records in (\S+) seconds\. "
    r"Throughput is (\S+) records/second\. Loss is (\S+)\."
)


def run(config, reporter):
    """Train on Analytics Zoo; ``config.workers`` is what its engine counts, each with ``config.batch_size`` images.

    Raises:
        UsageError: Analytics Zoo is not installed, or this build of it cannot do what was asked.
        WorkloadError: the training failed.
    """
    if config.mode != "train":
        raise UsageError("--engine tfpark trains only; --mode infer needs --engine local or spark")
    if config.evaluate or config.export_dir:
        raise UsageError("--engine tfpark neither evaluates nor exports; do so with --engine local and its --model-dir")
    try:
        import zoo
    except ImportError:
        raise UsageError("--engine tfpark needs Analytics Zoo (the package analytics-zoo, Python 3.6 or 3.7)") from None
    from zoo.tfpark import TFDataset

    parameters = inspect.signature(TFDataset.from_tf_data_dataset).parameters
    # The builds with bf16 kernels in their libtensorflow are later than the release and batch outside.
    if config.dtype == "bfloat16" and "batch_outside" not in parameters:
        raise UsageError(
            "the libtensorflow in Analytics Zoo %s has no bfloat16 kernels; use the image"
            " intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16 or a TensorFlow built with"
            " ENABLE_INTEL_MKL_BFLOAT16" % zoo.__version__
        )
    context = _context(config)
    try:
        with cluster.shipped(context):
            _train(config, reporter, context, "batch_outside" in parameters)
    finally:
        context.stop()


def _context(config):
    """Analytics Zoo's Spark context; its jars on both class paths unless spark-submit has put them there."""
    from zoo.common.nncontext import init_nncontext, init_spark_conf

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = init_spark_conf()
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # its master is not in conf before there is a context
    if config.master:
        conf.setMaster(config.master)
    elif not submitted and not conf.contains("spark.master"):
        conf.setMaster("local[1]")
    if not submitted:
        jars = ":".join(_jars())
        for side in ("driver", "executor"):
            conf.set("spark.%s.extraClassPath" % side, jars)
            # A class of TensorFlow's in these jars does not pass Java's verifier.
            conf.set("spark.%s.extraJavaOptions" % side, "-noverify")
    if config.workers and not conf.get("spark.master", "").startswith("local"):
        conf.set("spark.executor.cores", "1").set("spark.cores.max", str(config.workers))
    try:
        return init_nncontext(conf, redirect_spark_log=False)
    except Exception as error:  # py4j wraps whatever Java threw
        raise WorkloadError("Analytics Zoo did not start: %s" % cluster.java_reason(error)) from error


def _jars():
    import bigdl
    import zoo

    folders = [os.path.join(os.path.dirname(package.__file__), "share", "lib") for package in (zoo, bigdl)]
    return [jar for folder in folders for jar in sorted(glob.glob(os.path.join(folder, "*.jar")))]


def _train(config, reporter, context, batch_outside):
    from bigdl.util.common import get_node_and_core_number
    from zoo.tfpark import TFDataset, TFEstimator, ZooOptimizer

    workers = get_node_and_core_number()[0]
    if config.workers not in (None, workers):
        raise UsageError("%d workers asked for, but Analytics Zoo counts %d executors" % (config.workers, workers))
    config = config._replace(workers=workers)
    notes = check.of_run(config)
    config = config.settled(data.steps_per_epoch(config) if config.epochs else None)
    resumed = checkpoint.to_resume(config)
    first = int(tf.train.load_variable(resumed, "global_step")) if resumed else 0
    checkpoint.enough_left(config, first)
    versions = hardware.versions("tensorflow", "numpy", "pyspark", "zoo")

    def input_fn():
        dataset = _dataset(config)
        options = {"batch_outside": True} if batch_outside else {}
        if batch_outside:
            dataset = dataset.batch(config.batch_size, drop_remainder=True)
        return TFDataset.from_tf_data_dataset(
            dataset, batch_size=config.global_batch_size, shuffle=False, remove_checking=True, **options
        )

    def model_fn(features, labels, mode):
        layers, network = resnet.Variables(training=True), MODELS[config.model].network
        logits = resnet.resnet(features, config.classes, tf.as_dtype(config.dtype), layers, **network)
        loss = optimizer.cross_entropy(logits, labels, config.label_smoothing)
        # A counter of its own: TFEstimator adds all steps to the global one when it ends.
        step = tf.get_variable("schedule_step", [], tf.int64, tf.zeros_initializer(), trainable=False)
        rate = optimizer.learning_rate(config.base_learning_rate, step, config.steps)
        update = ZooOptimizer(optimizer.momentum(rate))
        prepare = optimizer.lars if config.optimizer == "lars" else optimizer.decayed
        # Analytics Zoo replaces the gradients by their means over all workers before what follows from them, and runs
        # the updates of the moving statistics by itself.
        gradients = prepare(update.compute_gradients(loss), config.weight_decay)
        train_op = update.apply_gradients(gradients, step)
        fields = session.start_fields(config, variables.parameter_count(), notes)
        reporter.emit("start", **dict(fields, versions=versions))
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    tf.set_random_seed(config.seed)
    with _BigDLLog(context, Iterations(config, first, reporter.emit)) as log:
        estimator = TFEstimator.from_model_fn(
            model_fn, config.model_dir, tf.estimator.RunConfig(tf_random_seed=config.seed)
        )
        try:
            estimator.train(input_fn, steps=config.steps - first)
            memory = context.parallelize(range(workers), workers).map(_executor_memory_mib).collect()
        except Exception as error:  # py4j wraps whatever Java threw
            more = "OutOfMemoryError" in str(error) or "TaskResultLost" in str(error)
            raise WorkloadError(
                "Analytics Zoo failed: %s%s"
                % (cluster.java_reason(error), "; give driver and executors more Java memory" if more else "")
            ) from error
    result = dict(log.iterations.result(), memory_mib=round(max(memory), 1), variables=hardware.variables())
    reporter.emit("summary", **summary(config, [result], versions, hardware.facts()))


def _dataset(config):
    """``(image, label)`` elements, one pass of the data: Analytics Zoo deals out the batches and starts over."""
    if config.data == SYNTHETIC:
        seeds = [config.seed, 0], [config.seed, 1]
        shape = [_SYNTHETIC_IMAGES, config.image_size, config.image_size, 3]
        images = tf.random.stateless_normal(shape, seeds[0])
        labels = tf.random.stateless_uniform([_SYNTHETIC_IMAGES], seeds[1], 0, config.classes, tf.int32)
        passes = -(-config.global_batch_size * 16 // _SYNTHETIC_IMAGES)
        return tf.data.Dataset.from_tensor_slices((images, labels)).repeat(passes)
    dataset = datasets.share(layouts.opened(config.data), "train", 0, 1, config.seed, training=False)
    dataset = data.decoded(config, dataset.shuffle(datasets.SHUFFLE_BUFFER, config.seed), training=True)
    return dataset.map(lambda image, label, corrupt: (image, label))


def _executor_memory_mib(_):
    """The peak resident size of the Java process above this Python worker."""
    pid = os.getppid()
    while pid > 1:
        with open("/proc/%d/status" % pid) as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        if fields["Name"].strip() == "java":
            return int(fields["VmHWM"].split()[0]) / 1024.0
        pid = int(fields["PPid"])
    return 0.0


class Iterations(object):
    """Reads BigDL's log lines, reports intervals, and adds up what the summary needs."""

    def __init__(self, config, first, emit):
        self._config, self._first, self._emit = config, first, emit
        self._elapsed, self._timed, self._loss = 0.0, [0, 0.0], None
        self._records, self._seconds = 0.0, 0.0

    def line(self, text):
        """Take one line of the log; all but the iterations' lines are ignored."""
        iteration_line = _ITERATION.search(text)
        if not iteration_line:
            return
        iteration = int(iteration_line.group(1))
        step = self._first + iteration
        records, seconds, _, self._loss = [float(part) for part in iteration_line.groups()[1:]]
        self._elapsed += seconds
        self._records += records
        self._seconds += seconds
        if iteration > self._config.warmup_steps:
            self._timed = [self._timed[0] + 1, self._timed[1] + seconds]
        if step % self._config.interval_steps == 0 or step == self._config.steps:
            self._emit(
                "interval",
                step=step,
                loss=self._loss,
                images_per_second=round(self._records / self._seconds, 3),
                elapsed_s=round(self._elapsed, 3),
            )
            self._records, self._seconds = 0.0, 0.0

    def result(self):
        """This run's part of the summary.

        Raises:
            WorkloadError: the log showed no timed iteration.
        """
        if not self._timed[1]:
            raise WorkloadError("BigDL logged no throughput; its logger %s must be at INFO" % _LOGGERS[0])
        return {
            "steps": self._config.steps,
            "warmup_steps": self._config.warmup_steps,
            "timed_steps": self._timed[0],
            "elapsed_s": self._timed[1],
            "final_loss": self._loss,
        }


class _BigDLLog(object):
    """Passes each line that BigDL logs in the driver's Java process on, while the block lasts."""

    def __init__(self, context, iterations):
        self.iterations = iterations
        self._log4j = context._jvm.org.apache.log4j
        self._ended = threading.Event()

    def __enter__(self):
        handle, self._path = tempfile.mkstemp(prefix="bigdl-", suffix=".log")
        os.close(handle)
        self._appender = self._log4j.FileAppender(self._log4j.PatternLayout("%m%n"), self._path, False)
        for name in _LOGGERS:
            logger = self._log4j.Logger.getLogger(name)
            logger.setLevel(self._log4j.Level.INFO)
            logger.addAppender(self._appender)
        self._thread = threading.Thread(target=self._follow, name="bigdl-log", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._appender.close()
        self._ended.set()
        self._thread.join()
        os.remove(self._path)

    def _follow(self):
        partial = ""
        with open(self._path) as log:
            ended = False
            while not ended:
                ended = self._ended.wait(_POLL_S)
                lines = (partial + log.read()).split("\n")
                partial = lines.pop()
                for line in lines:
                    self.iterations.line(line)
