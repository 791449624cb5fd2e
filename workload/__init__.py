"""ResNet and BERT in float32 and bfloat16 on TensorFlow 1.15 to today's, on one process, Spark or Analytics Zoo.

Arguments in, JSON lines out (``report.py`` lists them); ``python -m workload --help`` has the arguments.
"""
