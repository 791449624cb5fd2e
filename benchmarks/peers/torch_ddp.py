"""PyTorch's side of `benchmarks.training`: ResNet-50 v1.5 under DistributedDataParallel over gloo, channels last.

Started once for each worker, bound to its cores, with torchrun's variables RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
Rank 0 prints ``{"images_per_second", "version"}``, all workers counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Bottleneck(nn.Module):
    """1x1, 3x3 (which strides, as in v1.5), 1x1, and the shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.main = nn.Sequential(
            *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.relu(self.main(images) + self.shortcut(images))


def resnet50() -> nn.Module:
    """25,557,032 parameters, as torchvision's."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, stride if block == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def main() -> None:
    """Train on synthetic images and print the rate of the timed steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup-steps", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    torch.distributed.init_process_group("gloo")
    network = resnet50().to(memory_format=torch.channels_last)
    network = DistributedDataParallel(network, gradient_as_bucket_view=True)
    network = torch.compile(network) if given.compile else network
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, foreach=True)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    images = torch.randn(given.batch_size, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (given.batch_size,))
    began = time.perf_counter()
    for step in range(given.steps):
        if step == given.warmup_steps:
            began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=given.dtype == "bfloat16"):
            loss = loss_of(network(images), labels)
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    workers = torch.distributed.get_world_size()
    if torch.distributed.get_rank() == 0:
        rate = (given.steps - given.warmup_steps) * given.batch_size * workers / seconds
        print(json.dumps({"images_per_second": round(rate, 3), "version": torch.__version__}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
