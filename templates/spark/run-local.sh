#!/bin/bash
# {{ title }}
set -euo pipefail
{% include "host/clear-environment.sh" %}
cd {{ work_folder }}
export PYTHONPATH=workload.zip
export KMP_BLOCKTIME=0
export OMP_NUM_THREADS={{ threads }}
export KMP_AFFINITY=granularity=fine,compact,1,0
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
exec python3 -m workload {{ arguments }}
