"""Which models there are, and what is usual for each: ``models.json``, which others read without importing this.

A size of a network that is there takes an entry in that file; a new network also a module in ``tasks``.
"""

import json
import pkgutil
from typing import Any, Dict, NamedTuple, Optional, Tuple


class Model(NamedTuple):
    """A network of one size. Rates and decay are the usual ones, for those who ask for no others.

    ``task`` is the module in ``tasks`` that trains it, and ``network`` what that module is told of its size. The
    learning rate is for each ``learning_rate_batch`` examples of the global batch, or for any batch where that is None.
    """

    name: str
    task: str
    title: str
    unit: str
    engines: Tuple[str, ...]
    optimizers: Tuple[str, ...]
    learning_rate: float
    learning_rate_batch: Optional[int]
    weight_decay: float
    label_smoothing: Optional[float]
    sequence_length: Optional[Tuple[int, int]]
    network: Dict[str, Any]


def _read():
    data = json.loads(pkgutil.get_data("workload", "models.json").decode("utf-8"))  # also out of a zip
    models = {}
    for task, facts in data["tasks"].items():
        shared = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key != "models"
        }
        shared.setdefault("sequence_length", None)
        for name, own in facts["models"].items():
            models[name] = Model(name=name, task=task, **dict(shared, **own))
    return models


MODELS = _read()
OPTIMIZERS = tuple(sorted({name for model in MODELS.values() for name in model.optimizers}, reverse=True))
