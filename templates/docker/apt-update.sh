export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
# install waits for the lock by itself, update does not.
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12; do
  apt-get update && break
  [ "$attempt" -lt 12 ] || exit 1
  echo "==> apt-get update failed, attempt $attempt of 12: another one runs, or the mirror is out of reach"
  sleep 10
done
