{% include "docker/begin.sh" %}
{% include "docker/repository.sh" %}
# dnf waits while another one holds its lock.
dnf -y install docker-ce docker-ce-cli containerd.io
{% include "docker/end.sh" %}
