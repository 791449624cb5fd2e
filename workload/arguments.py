"""What the command lines share."""

import argparse

from workload.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of ending the process, and prints its help to ``help_stream``."""

    help_stream = None

    def error(self, message):
        """A mistake in the arguments, as a UsageError."""
        raise UsageError(message)

    def print_help(self, file=None):
        """To the stream of the JSON lines."""
        super(Parser, self).print_help(file or self.help_stream)


def positive(text):
    """A positive whole number, as argparse's type."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("%s is not a positive number" % text)
    return value
