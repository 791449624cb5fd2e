#!/bin/bash
# {{ title }}
# The paper's step 3.7: its own sample code and command line.
{% include "host/clear-environment.sh" %}
cd {{ sample_folder }} || exit 1
# Each run begins afresh, whatever an earlier one left.
if [ -e logs ]; then mv logs "logs-$(date +%s)"; fi
# Register the model as a source root
export PYTHONPATH="$(pwd):${PYTHONPATH}"
export KMP_BLOCKTIME=0
# {{ workers }} instances
export OMP_NUM_THREADS={{ threads }}
export KMP_AFFINITY=granularity=fine,compact,1,0
export KMP_SETTINGS=1
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
export ANALYTICS_ZOO_HOME={{ zoo_home }}
export SPARK_HOME={{ spark_home }}
bash $ANALYTICS_ZOO_HOME/bin/spark-submit-python-with-zoo.sh --master {{ master }} \
--executor-cores 1 --total-executor-cores {{ workers }} --driver-memory {{ driver_memory }} --executor-memory {{ executor_memory }} \
{% if settings %}
{{ settings }} \
{% endif %}
{% if properties %}
--properties-file {{ properties }} \
{% endif %}
imagenet_main.py 1 --model_dir ./logs --batch_size {{ batch_size }} --version 1 \
--resnet_size 50 --train_epochs {{ epochs }} --data_dir {{ data }}{{ dtype_option }}
