"""`python -m lab.buildah ...`: one command, its errors on stderr as `Error: ...`, exit code 125 as buildah's."""

import sys
from collections.abc import Callable

from lab.buildah import command_line, container_commands, image_commands, manifest_commands
from lab.buildah.errors import BuildahError
from lab.buildah.session import Session, open_session

_FAILED = 125
_COMMANDS: dict[str, Callable[[Session], None]] = {
    "login": image_commands.login,
    "logout": image_commands.logout,
    "build": image_commands.build,
    "bud": image_commands.build,
    "build-using-dockerfile": image_commands.build,
    "push": image_commands.push,
    "pull": image_commands.pull,
    "images": image_commands.images,
    "tag": image_commands.tag,
    "rmi": image_commands.rmi,
    "inspect": container_commands.inspect,
    "from": container_commands.start,
    "copy": container_commands.copy_in,
    "add": container_commands.copy_in,
    "config": container_commands.configure,
    "commit": container_commands.commit_container,
    "containers": container_commands.show,
    "rm": container_commands.rm,
    "manifest create": manifest_commands.create,
    "manifest add": manifest_commands.add,
    "manifest annotate": manifest_commands.annotate,
    "manifest inspect": manifest_commands.inspect,
    "manifest push": manifest_commands.push,
    "manifest remove": manifest_commands.remove,
    "manifest rm": manifest_commands.rm,
    "manifest exists": manifest_commands.exists,
    "version": lambda session: session.say(command_line.VERSION),
}


def main() -> int:
    """Run one command; returns the exit code."""
    try:
        options = command_line.parse(sys.argv[1:])
        name = " ".join(filter(None, (options.command, getattr(options, "subcommand", ""))))
        _COMMANDS[name](open_session(options))
    except (BuildahError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return _FAILED
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
