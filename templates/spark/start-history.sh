#!/bin/bash
# Starts Spark's history server, whose page shows the applications that have ended. Its process id goes to {{ pid_file }}.
{% include "host/clear-environment.sh" %}
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
mkdir -p {{ event_folder }}
{% include "spark/enter-spark.sh" %}
exec >>{{ log_file }} 2>&1 </dev/null
./spark-class org.apache.spark.deploy.history.HistoryServer &
jobs -p >{{ pid_file }}
disown -a
