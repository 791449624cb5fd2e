{% include "docker/begin.sh" %}
{% include "docker/repository.sh" %}
# Gives $releasever in other people's repositories the value that they know this system by.
dnf -y install dnf-plugin-releasever-adapter --repo alinux3-plus
dnf -y install docker-ce docker-ce-cli containerd.io
{% include "docker/end.sh" %}
