"""Run the factory's commands."""

from provisioning.cli import app

if __name__ == "__main__":
    app(prog_name="python -m provisioning")
