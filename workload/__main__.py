"""``python -m workload ...``, or as a script: ``spark-submit --py-files workload.zip __main__.py ...``."""

import os
import sys

if not __package__:  # run as a script: this folder's modules must not be taken for top-level ones
    _folder = os.path.dirname(os.path.abspath(__file__))
    if os.path.exists(os.path.join(_folder, "__init__.py")):
        sys.path = [os.path.dirname(_folder)] + [entry for entry in sys.path if os.path.abspath(entry) != _folder]

from workload import cli  # noqa: E402

if __name__ == "__main__":
    if __package__:
        cli.reexec_with_tunables()
    sys.exit(cli.main())
