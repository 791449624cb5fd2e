"""Everything a run is told, as one immutable value that also travels to Spark's tasks."""

from typing import NamedTuple, Optional

from workload.errors import UsageError
from workload.models import MODELS

SYNTHETIC = "synthetic"  # data that is made up


class Config(NamedTuple):
    """One run. ``cli.py`` describes each field for people; sizes are per worker, times in seconds."""

    engine: str = "local"
    model: str = "resnet50"
    mode: str = "train"
    dtype: str = "float32"
    data: str = SYNTHETIC
    batch_size: int = 32
    steps: Optional[int] = None
    epochs: Optional[float] = None
    warmup_steps: Optional[int] = None
    interval_steps: int = 5
    workers: Optional[int] = None
    master: Optional[str] = None
    image_size: int = 224
    sequence_length: int = 128
    classes: int = 1000
    learning_rate: Optional[float] = None
    optimizer: Optional[str] = None
    weight_decay: Optional[float] = None
    label_smoothing: Optional[float] = None
    seed: int = 1
    augment: str = "imagenet"
    corrupt_limit: int = 100
    evaluate: bool = False
    model_dir: Optional[str] = None
    resume: bool = False
    checkpoint_steps: int = 1000
    export_dir: Optional[str] = None
    threads: Optional[int] = None
    worker_timeout_s: float = 30.0

    def settled(self, steps_per_epoch):
        """With ``steps`` and ``warmup_steps`` as numbers: 20 steps unless told, 5 of them to warm up if they can be.

        Optimizer, weight decay and label smoothing are the model's usual ones unless told.

        Raises:
            UsageError: the warm-up leaves no step to time.
        """
        steps = self.steps or 20
        if self.epochs:
            steps = max(1, int(round(self.epochs * steps_per_epoch)))
        warmup = min(5, steps - 1) if self.warmup_steps is None else self.warmup_steps
        if not 0 <= warmup < steps:
            raise UsageError("--warmup-steps %d leaves none of the %d steps to time" % (warmup, steps))
        model = MODELS[self.model]
        usual = dict(
            optimizer=model.optimizers[0],
            weight_decay=model.weight_decay,
            label_smoothing=model.label_smoothing or 0.0,
        )
        missing = {name: value for name, value in usual.items() if getattr(self, name) is None}
        return self._replace(steps=steps, warmup_steps=warmup, **missing)

    @property
    def global_batch_size(self):
        """Images or sequences in one step over all workers."""
        return self.batch_size * self.workers

    @property
    def base_learning_rate(self):
        """The rate asked for, else the model's usual one: ResNet's grows with the global batch (Goyal et al. 2017)."""
        if self.learning_rate is not None:
            return self.learning_rate
        model = MODELS[self.model]
        scale = self.global_batch_size / model.learning_rate_batch if model.learning_rate_batch else 1.0
        return model.learning_rate * scale

    def described(self):
        """The fields that name a run in the ``start`` and ``summary`` lines."""
        return dict(
            model=self.model,
            mode=self.mode,
            dtype=self.dtype,
            engine=self.engine,
            workers=self.workers,
            batch_size=self.batch_size,
        )
