"""`python -m costmodel`: see `costmodel.cli`."""

import sys

from costmodel.cli import main

sys.exit(main(sys.argv[1:]))
