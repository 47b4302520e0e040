"""The command line, `connector`. Every command is a thin story over the services' files and the management API.

Nothing heavy is imported before a command needs it: `connector --help` answers at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Every error raised on purpose becomes a sentence and an exit code, never a traceback."""
    from connector.cli import output
    from connector.cli.commands import app
    from connector.cli.exits import Exit, exit_code
    from connector.errors import ConnectorError

    try:
        app(prog_name="connector")
    except ConnectorError as error:
        output.failure(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # `connector catalog ... | head`: the reader has had enough
        sys.stderr.close()
        sys.exit(Exit.OK)
