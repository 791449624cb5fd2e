#!/bin/bash
# Starts the Spark master (the paper's step 3.3), with the class that sbin/start-master.sh starts: Spark from the Python
# package index comes without that script. Its process id goes to {{ pid_file }}.
{% include "host/clear-environment.sh" %}
{% for name, value in environment %}
export {{ name }}={{ value }}
{% endfor %}
mkdir -p {{ event_folder }}
{% include "spark/enter-spark.sh" %}
exec >>{{ log_file }} 2>&1 </dev/null
./spark-class org.apache.spark.deploy.master.Master --host {{ master }} --port {{ port }} --webui-port {{ page_port }} &
jobs -p >{{ pid_file }}
disown -a
