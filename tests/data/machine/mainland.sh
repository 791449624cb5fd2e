#!/bin/bash
# User data for a machine in a region where Docker Hub, PyPI, Debian's archive and GitHub do not answer: no name resolves
# but its own and those of Alibaba's mirrors, which a server of the test's stands in for (PORT, on the gateway). apt's
# sources are turned to the mirror, as in the cloud's own images.
set -euo pipefail
gateway=$(ip -4 route show default | cut -d ' ' -f 3)
cat >>/etc/hosts <<END
$gateway outside
127.0.0.1 mirrors.cloud.aliyuncs.com mirrors.aliyun.com ac2-registry.cn-hangzhou.cr.aliyuncs.com
END
: >/etc/resolv.conf
sed -E -i 's#https?://[^ /]+/(debian|debian-security)/?$#http://mirrors.cloud.aliyuncs.com/\1/#' \
  /etc/apt/sources.list.d/debian.sources
# The real registry speaks https.
mkdir -p /etc/docker
echo '{"insecure-registries": ["ac2-registry.cn-hangzhou.cr.aliyuncs.com"]}' >/etc/docker/daemon.json
systemd-run --unit=mirrors --socket-property=ListenStream=127.0.0.1:80 /usr/lib/systemd/systemd-socket-proxyd outside:PORT
