"""Commands that messages recommend, with --models if the user's own networks are deployed."""

import shlex

from models import networks


def nox(session: str, arguments: str = "") -> str:
    """Return the command of a session with its arguments."""
    folder = networks.folder()
    models = f"--models {shlex.quote(str(folder))}" if folder else ""
    options = " ".join(filter(None, (models, arguments)))
    return f"nox -s {session} -- {options}" if options else f"nox -s {session}"
