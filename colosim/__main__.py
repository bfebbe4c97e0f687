"""``python -m colosim`` is the ``colosim`` command."""

import sys

from colosim.cli.main import main

sys.exit(main())
