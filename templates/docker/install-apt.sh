{% include "docker/begin.sh" %}
{% include "docker/apt-update.sh" %}
# docker-cli is a package of its own in newer releases, where docker.io only recommends it.
apt-get -o DPkg::Lock::Timeout=600 -y install docker.io
{% include "docker/end.sh" %}
