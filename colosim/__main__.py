"""The ``colosim`` command, also as ``python -m colosim``."""

import sys

from colosim.cli.process import as_process


def main() -> int:
    """Run the command that ``sys.argv`` names, and return its exit status."""

    def command() -> int:
        from colosim.cli.main import main as run_command  # noqa: PLC0415 - see `as_process`

        return run_command()

    return as_process(command)


if __name__ == "__main__":
    sys.exit(main())
