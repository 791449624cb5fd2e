"""known_hosts as OpenSSH writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.adapters.known_hosts import entry_name, fingerprint, known_keys, replace_keys
from provisioner.errors import StateError

GITHUB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
OTHER = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNu"
    "G5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
)


def test_fingerprints_are_those_that_github_publishes() -> None:
    assert fingerprint(f"{GITHUB} comment") == "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert fingerprint(OTHER) == "ecdsa-sha2-nistp256 SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"


def test_a_port_other_than_22_is_part_of_the_name() -> None:
    assert entry_name("10.0.0.1", 22) == "10.0.0.1"
    assert entry_name("10.0.0.1", 2222) == "[10.0.0.1]:2222"


def test_keys_are_found_by_address_and_port(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    assert known_keys(file, "a", 22) == []
    file.write_text(f"# a comment\n\n@revoked a {OTHER}\nb,a {GITHUB} root@a\n[a]:2222 {OTHER}\ntorn ssh-")
    assert known_keys(file, "a", 22) == known_keys(file, "b", 22) == [GITHUB]
    assert known_keys(file, "a", 2222) == [OTHER]
    assert known_keys(file, "c", 22) == []


def test_replacing_touches_one_host_only_and_writes_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# mine\nb {GITHUB}\na {OTHER}\n")
    replace_keys(file, "a", 22, [f"{GITHUB} comment"])
    assert file.read_text() == f"# mine\nb {GITHUB}\na {GITHUB}\n"
    before = file.stat()
    replace_keys(file, "a", 22, [GITHUB])
    assert file.stat() == before


def test_a_file_that_cannot_be_read_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        known_keys(tmp_path, "a", 22)
