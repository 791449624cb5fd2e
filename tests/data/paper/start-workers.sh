#!/bin/bash
# Starts the Spark workers, each bound to its own cores (the paper's step 3.4). Their process ids go to /opt/work/provisioner/workers.pid.
mkdir -p /var/log/spark/spark-events
cd /opt/work/spark-2.4.3/bin || exit 1
exec >>/opt/work/provisioner/logs/workers.log 2>&1 </dev/null
export OMP_NUM_THREADS=6
numactl -C 0-11 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 12-23 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 24-35 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 36-47 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 48-59 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 60-71 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 72-83 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 84-95 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
jobs -p >/opt/work/provisioner/workers.pid
disown -a
