{% include "docker/begin.sh" %}
dnf -y install {{ own }}
{% include "docker/end.sh" %}
