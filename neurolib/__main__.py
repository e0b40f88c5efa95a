"""`python -m neurolib`."""

import sys

from neurolib.cli import main

sys.exit(main())
