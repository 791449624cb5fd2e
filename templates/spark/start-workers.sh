#!/bin/bash
# Starts the Spark workers, each bound to its own cores (the paper's step 3.4). Their process ids go to {{ pid_file }}.
{% include "host/clear-environment.sh" %}
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
mkdir -p {{ event_folder }}
{% include "spark/enter-spark.sh" %}
exec >>{{ log_file }} 2>&1 </dev/null
{% for group in groups %}
export OMP_NUM_THREADS={{ group.threads }}
{% for cpus in group.cpus %}
{{ pin }} {{ cpus }} ./spark-class org.apache.spark.deploy.worker.Worker {{ master }} &
{% endfor %}
{% endfor %}
jobs -p >{{ pid_file }}
disown -a
