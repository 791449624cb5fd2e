"""The paper's own figures, to stand beside ours: what it measured, and what it quotes from elsewhere.

What it quotes (its Background information, notes 2 to 5) compares bfloat16 on the new processor with float32 on the one
before it, so it holds the gain of the hardware as well; what it measured (its step 3, note 6) is one machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LABEL = "Paper"
QUOTED_IS = "bfloat16 on Xeon Platinum 8380H over float32 on the older Xeon Platinum 8280"


@dataclass(frozen=True)
class Figures:
    """Of one model and mode: images/second in float32 and bfloat16 and their ratio, and the ratio quoted ("up to").

    `words` are the paper's, `note` is the number of the note that has the configuration.
    """

    measured: tuple[str, str, str] | None
    quoted: float
    words: str
    note: int
    workload: str


_FIGURES = {
    ("resnet50", "train"): Figures(
        ("119.636", "212.315", "1.775"), 1.93, "up to 1.93 times the AI training performance", 2, "ResNet-50 v1.5"
    ),
    ("resnet50", "infer"): Figures(
        None, 1.87, "up to 1.87 times the AI inference performance for image classification", 3, "ResNet-50 v1.5"
    ),
    ("bert-base", "train"): Figures(
        None,
        1.7,
        "up to 1.7 times the AI training performance for natural language processing (NLP)",
        4,
        "BERT-Large (QA)",
    ),
    ("bert-base", "infer"): Figures(
        None, 1.9, "up to 1.9 times the AI inference performance for NLP", 5, "BERT-Large (QA)"
    ),
}


def figures(model: str, mode: str) -> Figures | None:
    """What the paper says about this; None for anything else."""
    return _FIGURES.get((model, mode))


def rows(figures: Figures) -> Iterable[tuple[str, str, str, str]]:
    """The rows for the table: label, float32, bfloat16, improvement."""
    if figures.measured:
        yield (f"{LABEL}, measured on ecs.hfc7.24xlarge (images/second)", *figures.measured)
    yield (f"{LABEL}, quoted against older hardware", "", "", f"up to {figures.quoted:g}")


def conditions(figures: Figures) -> Iterable[str]:
    """Sentences without an end mark."""
    if figures.measured:
        yield f"{LABEL}: Analytics Zoo 0.8.1 (engine tfpark), 8 workers of 6 cores, batch size 128"
    yield (
        f'{LABEL}, quoted against older hardware: "{figures.words}", "compared with previous-generation processors" '
        f"(Background information, note {figures.note}): {figures.workload}, {QUOTED_IS}"
    )
