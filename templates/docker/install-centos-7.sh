{% include "docker/begin.sh" %}
{% include "docker/centos-7-vault.sh" %}
{% include "docker/repository.sh" %}
yum -y install docker-ce docker-ce-cli containerd.io
{% include "docker/end.sh" %}
