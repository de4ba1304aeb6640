"""Run the factory's commands."""

import sys


def main() -> None:
    """Import, which takes a second or two, and run what is asked for."""
    from provisioning.cli import app  # noqa: PLC0415 - so that whoever stops it while it starts is told no traceback

    app(prog_name="python -m provisioning")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells have it after a SIGINT
