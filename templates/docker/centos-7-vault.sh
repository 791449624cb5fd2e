# This release is over: its own mirror list is gone, its packages are in the vault.
if grep -qs '^mirrorlist=.*mirrorlist.centos.org' /etc/yum.repos.d/CentOS-Base.repo; then
  sed -i -e 's|^mirrorlist=|#mirrorlist=|' \
    -e 's|^#*baseurl=http://mirror.centos.org/centos/[$]releasever|baseurl=http://vault.centos.org/7.9.2009|' \
    /etc/yum.repos.d/CentOS-Base.repo
fi
