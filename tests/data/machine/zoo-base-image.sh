#!/bin/bash
# Goes before serve-base-image.sh: puts Python 3.7 and Java 8 into the machine's tree, so that the one image stands in for
# both of zoo-release's base images. PORT is a file server's on the machine's gateway, also known as `outside`.
set -euo pipefail
echo "$(ip -4 route show default | cut -d ' ' -f 3) outside" >>/etc/hosts
curl --fail --silent --show-error http://outside:PORT/python.tar | tar --extract --directory=/
chmod 711 /root
ln -s PYTHON/bin/python3.7 /usr/local/bin/python3
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
echo "deb [check-valid-until=no] $mirror sid main" >/etc/apt/sources.list.d/sid.list
apt-get update
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --no-install-recommends --target-release trixie libbz2-1.0 libexpat1 libffi8 liblzma5 libnsl2 \
  libreadline8t64 libsqlite3-0 libssl3t64 libuuid1
apt-get install --yes --no-install-recommends --target-release sid openjdk-8-jre-headless
mkdir /opt/java
cp -rL /usr/lib/jvm/java-8-openjdk-*/jre /opt/java/openjdk
rm -r /etc/apt/sources.list.d/sid.list /usr/lib/jvm
