"""Processors by their names: the service, the families' tables and /proc/cpuinfo each spell them their own way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from provisioner.catalog.flags import bf16_of
from provisioner.catalog.reading import fields_of, read


@dataclass(frozen=True)
class Processor:
    """A generation of processors. `isa` names the CPU flags that matter to bfloat16, as in /proc/cpuinfo."""

    name: str
    architecture: str
    patterns: tuple[str, ...]
    isa: tuple[str, ...]

    @property
    def bf16(self) -> bool:
        """Whether it has instructions that multiply bfloat16."""
        return bool(bf16_of(self.isa))


def processor(name: str) -> Processor | None:
    """The processor that a name speaks of; None for a name that tells none, as "Intel(R) Xeon(R) Platinum"."""
    return next((each for pattern, each in _patterns() if pattern.search(name)), None)


@cache
def _patterns() -> list[tuple[re.Pattern[str], Processor]]:
    processors = [Processor(**fields_of(Processor, facts)) for facts in read("processors.yaml")]
    return [(re.compile(pattern, re.IGNORECASE), each) for each in processors for pattern in each.patterns]
