{% include "docker/begin.sh" %}
{% include "docker/repository.sh" %}
# Gives $releasever in other people's repositories the value that they know this system by.
yum -y install yum-plugin-releasever-adapter --disablerepo='*' --enablerepo=plus
yum -y install docker-ce docker-ce-cli containerd.io
{% include "docker/end.sh" %}
