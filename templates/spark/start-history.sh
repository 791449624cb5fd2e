#!/bin/bash
# Starts Spark's history server, whose page shows the applications that have ended. Its process id goes to {{ pid_file }}.
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
mkdir -p {{ event_folder }}
cd {{ spark_home }}/bin || exit 1
exec >>{{ log_file }} 2>&1 </dev/null
./spark-class org.apache.spark.deploy.history.HistoryServer &
jobs -p >{{ pid_file }}
disown -a
