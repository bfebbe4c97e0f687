"""``python -m colosim`` is the ``colosim`` command."""

import sys

from colosim.cli.process import main

sys.exit(main())
