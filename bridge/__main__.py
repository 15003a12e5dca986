"""`python -m bridge`: the same as `isthmus bridge`."""

from bridge.cli import app

if __name__ == "__main__":
    app()
