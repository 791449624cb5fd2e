"""Which entries of a folder are data: hidden ones, and those that tools leave beside the data, are not.

Names are kept as the file system has them: one that is not UTF-8 stays usable (``os.fsencode``) and is shown escaped.
"""

import os
import re
from typing import List, NamedTuple

from workload.errors import UsageError

_COMPANION = re.compile(
    r"\..*|.*~|#.*#|.*\.(swp|swo|bak|orig)"  # hidden entries, and the backups of editors
    r"|thumbs\.db|ehthumbs\.db|desktop\.ini|\$recycle\.bin|system volume information"  # of Windows
    r"|__macosx|icon\r|lost\+found|@eadir",  # of macOS, of ext4, of network drives
    re.IGNORECASE | re.DOTALL,
)


class Listing(NamedTuple):
    """A folder's entries, sorted by the bytes of their names; ``skipped`` are the paths of those that are no data."""

    folders: List[str]
    files: List[str]
    skipped: List[str]


def is_companion(name):
    """Whether an entry of that name is hidden or a tool's own."""
    return bool(_COMPANION.fullmatch(name))


def listed(path):
    """The Listing of a folder.

    Raises:
        UsageError: it cannot be read.
    """
    listing = Listing([], [], [])
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
                if is_companion(entry.name):
                    listing.skipped.append(entry.path)
                else:
                    (listing.folders if entry.is_dir() else listing.files).append(entry.name)
    except OSError as error:
        raise UsageError("%s cannot be read: %s" % (shown(path), error.strerror)) from error
    return listing


def shown(path):
    """A path for people: what is not UTF-8 in it, or cannot be printed, is escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in text)


def named(paths, most=3):
    """The first few paths for people, and how many more there are."""
    more = ", and %d more" % (len(paths) - most) if len(paths) > most else ""
    return ", ".join(shown(path) for path in paths[:most]) + more
