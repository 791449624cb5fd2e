{% include "docker/begin.sh" %}
{% include "docker/apt-update.sh" %}
apt-get -o DPkg::Lock::Timeout=600 -y install ca-certificates curl
repository={{ mirror }}/linux/{{ distribution }}
suite={{ codename }}
install -m 0755 -d /etc/apt/keyrings
curl -fsSL --retry 5 -o /etc/apt/keyrings/docker.asc "$repository/gpg"
chmod a+r /etc/apt/keyrings/docker.asc
echo "deb [signed-by=/etc/apt/keyrings/docker.asc] $repository $suite stable" |
  tee /etc/apt/sources.list.d/docker-ce.list
apt-get update
apt-get -o DPkg::Lock::Timeout=600 -y install docker-ce docker-ce-cli containerd.io
{% include "docker/end.sh" %}
