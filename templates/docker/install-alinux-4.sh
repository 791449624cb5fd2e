{% include "docker/begin.sh" %}
yum install -y moby
{% include "docker/end.sh" %}
