"""The command line: buildah's names for commands and flags. Pure; `commands` gives them their meaning.

Flags that only steer how buildah works (isolation, caches, storage drivers) are taken and ignored, so that a script
written for a real cluster runs unchanged. Flags that would change the image and are not known are an error.
"""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from lab.buildah.errors import BuildahError

VERSION = "buildah version 1.28.2-isthmus (the stand-in of Isthmus' lab, not buildah: it cannot run RUN)"
_IGNORED_SWITCHES = re.compile(
    r"--(layers|no-cache|pull|pull-always|pull-never|rm|force-rm|squash|disable-compression|"
    r"identity-label|omit-history|http-proxy|tls-verify|compress|remove-signatures|no-hosts)(=true)?|-D"
)
_IGNORED_OPTIONS = (
    *("--isolation", "--network", "--storage-driver", "--storage-opt", "--runroot", "--log-level", "--registries-conf"),
    *("--signature-policy", "--jobs", "--logfile", "--ulimit", "--security-opt", "--userns", "--cache-from"),
    *("--cache-to", "--cache-ttl", "--memory", "--cpu-shares", "--shm-size", "--cgroup-parent", "--runtime", "--retry"),
    *(
        "--retry-delay",
        "--compression-format",
        "--compression-level",
        "--default-mounts-file",
        "--cap-add",
        "--cap-drop",
    ),
)
_RM_IS_MEANT = ("commit", "manifest")  # elsewhere --rm steers intermediate containers, which we do not have


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BuildahError(f"{message} (the lab's stand-in for buildah; see {self.prog} --help)")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse; raises BuildahError. `command` names what to do, for manifests `manifest <what>`."""
    keeps_rm = any(word in _RM_IS_MEANT for word in arguments[:4])
    kept = [one for one in arguments if not _IGNORED_SWITCHES.fullmatch(one) or (keeps_rm and one.startswith("--rm"))]
    return _parser().parse_args(kept)


def _parser() -> argparse.ArgumentParser:
    unwrapped = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="buildah", description=VERSION, allow_abbrev=False, formatter_class=unwrapped)
    parser.add_argument("--version", "-v", action="version", version=VERSION)
    _ignored(parser)
    parser.add_argument("--root", default=None, help="storage directory")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")
    _add_registry_commands(commands)
    _add_build(commands)
    _add_image_commands(commands)
    _add_container_commands(commands)
    _add_manifest_commands(commands)
    return parser


def _command(commands: "argparse._SubParsersAction[_Parser]", name: str, *positional: str) -> _Parser:
    """A command and its positional arguments, written `name`, `name?` (may be missing) or `name*`/`name+`."""
    parser = commands.add_parser(name, allow_abbrev=False)
    for argument in positional:
        count = argument[-1] if argument[-1] in "?*+" else None
        parser.add_argument(argument.rstrip("?*+"), nargs=count)
    _ignored(parser)
    return parser


def _ignored(parser: argparse.ArgumentParser) -> None:
    for option in _IGNORED_OPTIONS:
        parser.add_argument(option, dest="_ignored", action="append", help=argparse.SUPPRESS)


def _reaching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authfile")
    parser.add_argument("--cert-dir")
    parser.add_argument("--creds", help="user:password")
    parser.add_argument("--tls-verify", default="true")


def _for_platform(parser: argparse.ArgumentParser) -> None:
    for option in ("--os", "--arch", "--variant", "--os-version"):
        parser.add_argument(option, default="")


def _add_registry_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    login = _command(commands, "login", "registry")
    _reaching(login)
    login.add_argument("-u", "--username")
    login.add_argument("-p", "--password")
    login.add_argument("--password-stdin", action="store_true")
    logout = _command(commands, "logout", "registry?")
    _reaching(logout)
    logout.add_argument("-a", "--all", action="store_true")
    pull = _command(commands, "pull", "image")
    push = _command(commands, "push", "image", "destination?")
    push.add_argument("--all", action="store_true")
    push.add_argument("--digestfile")
    for parser in (pull, push):
        _reaching(parser)
        _for_platform(parser)
        parser.add_argument("-q", "--quiet", action="store_true")
        parser.add_argument("-f", "--format", default="")


def _add_build(commands: "argparse._SubParsersAction[_Parser]") -> None:
    for name in ("build", "bud", "build-using-dockerfile"):
        build = _command(commands, name, "context?")
        _reaching(build)
        _for_platform(build)
        build.add_argument("-f", "--file")
        build.add_argument("-t", "--tag", action="append", default=[])
        build.add_argument("--platform", action="append", default=[])
        build.add_argument("--build-arg", action="append", default=[])
        build.add_argument("--label", action="append", default=[])
        build.add_argument("--env", action="append", default=[])
        build.add_argument("--format", default=None)
        build.add_argument("--manifest")
        build.add_argument("--target", default="")
        build.add_argument("--timestamp", type=int)
        build.add_argument("--iidfile")
        build.add_argument("--ignorefile", help=argparse.SUPPRESS)
        build.add_argument("-q", "--quiet", action="store_true")


def _add_image_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    images = _command(commands, "images", "image?")
    images.add_argument("-q", "--quiet", action="store_true")
    images.add_argument("-n", "--noheading", action="store_true")
    images.add_argument("-a", "--all", action="store_true")
    images.add_argument("--json", action="store_true")
    _command(commands, "tag", "image", "names+")
    rmi = _command(commands, "rmi", "images*")
    rmi.add_argument("-a", "--all", action="store_true")
    rmi.add_argument("-f", "--force", action="store_true")
    rmi.add_argument("-p", "--prune", action="store_true")
    inspect = _command(commands, "inspect", "name")
    inspect.add_argument("-t", "--type", choices=("image", "container", "manifest"))
    inspect.add_argument("-f", "--format", default="")
    _command(commands, "version")


def _add_container_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    start = _command(commands, "from", "image")
    _reaching(start)
    _for_platform(start)
    start.add_argument("--name")
    start.add_argument("--platform", action="append", default=[])
    for name in ("copy", "add"):
        copy = _command(commands, name, "container", "sources+")
        copy.add_argument("--chown", default="0:0")
        copy.add_argument("--chmod")
        copy.add_argument("--from", dest="stage")
        copy.add_argument("--contextdir")
        copy.add_argument("-q", "--quiet", action="store_true")
    config = _command(commands, "config", "container")
    for option in ("--arch", "--os", "--os-version", "--variant", "--author", "--cmd", "--entrypoint", "--user"):
        config.add_argument(option)
    config.add_argument("--workingdir")
    config.add_argument("--stop-signal")
    for option in ("--env", "--label", "--port", "--volume"):
        config.add_argument(
            option, *(["-" + option[2]] if option in ("--env", "--label", "--port") else []), action="append"
        )
    commit = _command(commands, "commit", "container", "name?")
    commit.add_argument("-f", "--format", default=None)
    commit.add_argument("--rm", action="store_true")
    commit.add_argument("--timestamp", type=int)
    commit.add_argument("--iidfile")
    commit.add_argument("-q", "--quiet", action="store_true")
    _command(commands, "containers")
    rm = _command(commands, "rm", "containers*")
    rm.add_argument("-a", "--all", action="store_true")


def _add_manifest_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    manifest = commands.add_parser("manifest", allow_abbrev=False)
    below = manifest.add_subparsers(dest="subcommand", required=True, parser_class=_Parser, metavar="COMMAND")
    create = _command(below, "create", "name", "images*")
    create.add_argument("--amend", "-a", action="store_true")
    create.add_argument("--all", action="store_true")
    add = _command(below, "add", "name", "image")
    add.add_argument("--all", action="store_true")
    annotate = _command(below, "annotate", "name", "image")
    for parser in (add, annotate):
        _for_platform(parser)
        parser.add_argument("--annotation", action="append", default=[])
        parser.add_argument("--os-features", action="append", default=[])
    push = _command(below, "push", "name", "destination?")
    push.add_argument("--all", action="store_true")
    push.add_argument("--rm", "-p", "--purge", action="store_true")
    push.add_argument("-f", "--format", default="")
    push.add_argument("--digestfile")
    push.add_argument("-q", "--quiet", action="store_true")
    inspect = _command(below, "inspect", "name")
    for parser in (create, add, push, inspect):
        _reaching(parser)
    _command(below, "remove", "name", "digest")
    _command(below, "rm", "names+")
    _command(below, "exists", "name")
