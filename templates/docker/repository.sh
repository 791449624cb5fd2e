# The repository's own file names its home; the mirror takes that place.
mirror={{ mirror }}
curl -fsSL --retry 5 -o /etc/yum.repos.d/docker-ce.repo "$mirror/linux/centos/docker-ce.repo"
sed -i "s|=https*://[^\$]*/linux/centos|=$mirror/linux/centos|" /etc/yum.repos.d/docker-ce.repo
{% if release %}
# This system has no packages of its own there; those of another run on it.
sed -i 's|[$]releasever|{{ release }}|' /etc/yum.repos.d/docker-ce.repo
{% endif %}
