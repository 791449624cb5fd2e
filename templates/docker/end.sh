
echo "==> Starting Docker"
systemctl enable docker
systemctl start docker
