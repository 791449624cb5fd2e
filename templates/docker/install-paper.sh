{% include "docker/begin.sh" %}
{% include "docker/centos-7-vault.sh" %}
yum install docker-io -y
# An engine this old is spoken with through its socket directly.
yum install nmap-ncat -y
{% include "docker/end.sh" %}
