#!/bin/bash
# {{ title }}
set -euo pipefail
{% include "host/clear-environment.sh" %}
cd {{ work_folder }}
export KMP_BLOCKTIME=0
# {{ workers }} instances
export OMP_NUM_THREADS={{ threads }}
export KMP_AFFINITY=granularity=fine,compact,1,0
export KMP_SETTINGS=1
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
SPARK_HOME={{ spark_home }}
export SPARK_HOME
exec "$SPARK_HOME"/bin/spark-submit --master {{ master }} \
--executor-cores 1 --total-executor-cores {{ workers }} --driver-memory {{ driver_memory }} --executor-memory {{ executor_memory }} \
{% if settings %}
{{ settings }} \
{% endif %}
--py-files workload.zip launch.py {{ arguments }}
