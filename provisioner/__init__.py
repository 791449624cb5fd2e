"""Provision bf16-capable Alibaba Cloud ECS instances, run the bf16 workload on them, remove them again."""

__version__ = "0.1.0"
