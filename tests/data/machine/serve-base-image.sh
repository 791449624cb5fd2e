#!/bin/bash
# User data for machines that cannot reach an image registry: serves the machine's own tree, with Python's venv added, as
# image base:1 on 127.0.0.1:5000, by the read-only part of the registry protocol. cloud-init is done when it listens.
set -euo pipefail
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
mkdir -p /srv/registry
tar --create --one-file-system --directory=/ --exclude=./srv/registry --exclude='./var/cache/apt/archives/*.deb' \
  --exclude=./var/lib/apt/lists --exclude=./root/.ssh . >/srv/registry/layer
cat >/srv/registry/serve.py <<'END'
import hashlib, http.server, json, pathlib

layer = pathlib.Path("/srv/registry/layer")
digest = "sha256:" + hashlib.file_digest(layer.open("rb"), "sha256").hexdigest()
KIND = "application/vnd.docker."
blobs = {digest: (layer.read_bytes(), "application/octet-stream")}


def blob(value, kind):
    content = json.dumps(value).encode()
    name = "sha256:" + hashlib.sha256(content).hexdigest()
    blobs[name] = (content, kind)
    return {"mediaType": kind, "size": len(content), "digest": name}


config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}}
config["rootfs"] = {"type": "layers", "diff_ids": [digest]}
manifest = {"schemaVersion": 2, "mediaType": KIND + "distribution.manifest.v2+json"}
manifest["config"] = blob(config, KIND + "container.image.v1+json")
manifest["layers"] = [{"mediaType": KIND + "image.rootfs.diff.tar", "size": layer.stat().st_size, "digest": digest}]
tagged = blob(manifest, manifest["mediaType"])["digest"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        content, kind = blobs.get(tagged if name == "1" else name, (b"{}", "application/json"))
        self.send_response(200 if self.path == "/v2/" or content != b"{}" else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", tagged if name == "1" else name)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Handler)
pathlib.Path("/srv/registry/ready").touch()
server.serve_forever()
END
systemd-run --unit=registry --property=MemoryMax=infinity /usr/bin/python3 /srv/registry/serve.py
until [ -e /srv/registry/ready ]; do sleep 0.2; done
