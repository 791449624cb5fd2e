"""The outside, behind the Protocols of ports.py: each adapter wraps one library or one part of this machine."""
