"""Everything a run is told, as one immutable value that also travels to Spark's tasks."""

from typing import NamedTuple, Optional


class Config(NamedTuple):
    """One run. ``cli.py`` describes each field for people; sizes are per worker, times in seconds."""

    engine: str = "local"
    model: str = "resnet50"
    mode: str = "train"
    dtype: str = "float32"
    data: str = "synthetic"
    batch_size: int = 32
    steps: int = 20
    warmup_steps: int = 5
    interval_steps: int = 5
    workers: Optional[int] = None
    master: Optional[str] = None
    image_size: int = 224
    classes: int = 1000
    learning_rate: Optional[float] = None
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    seed: int = 1
    model_dir: Optional[str] = None
    resume: bool = False
    threads: Optional[int] = None
    worker_timeout_s: float = 30.0

    @property
    def global_batch_size(self):
        """Images in one step over all workers."""
        return self.batch_size * self.workers

    @property
    def base_learning_rate(self):
        """The rate asked for, else 0.1 for each 256 images of the global batch (Goyal et al. 2017)."""
        return 0.1 * self.global_batch_size / 256 if self.learning_rate is None else self.learning_rate

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
