"""Building: the instructions of a Dockerfile, stage by stage, each a small change to the draft of an image.

One layer per stage, as buildah makes without --layers. Stages that the last one does not need are built all the same:
it costs little, and their mistakes show.
"""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.buildah.copying import Context, Order, Source, Stage, copy
from lab.buildah.dockerfile import Instruction, expand
from lab.buildah.errors import BuildahError, DockerfileError
from lab.buildah.images import Draft
from lab.buildah.references import Platform, host_architecture
from lab.buildah.storage import Storage
from lab.buildah.tree import DIRECTORY, Tree, with_parents

Pull = Callable[[str, Platform], Draft]
_SHELL = ["/bin/sh", "-c"]


@dataclass(slots=True)
class Build:
    """One run for one platform. `pull` brings the image that a FROM or --from names."""

    storage: Storage
    context: Context
    platform: Platform
    arguments: dict[str, str]
    pull: Pull
    say: Callable[[str], None]
    stages: dict[str, Draft] = field(default_factory=dict)  # by number, and by name where it has one
    used: set[str] = field(default_factory=set)
    _draft: Draft | None = None
    _globals: dict[str, str] = field(default_factory=dict)
    _variables: dict[str, str] = field(default_factory=dict)
    _shell: list[str] = field(default_factory=list)
    _has_cmd: bool = False
    _stage_count: int = 0
    _base: Tree | None = None

    def run(self, instructions: list[Instruction]) -> Draft:
        """Carry all out; returns the last stage."""
        for number, instruction in enumerate(instructions, 1):
            shown = " ".join(filter(None, (instruction.keyword, *_shown(instruction.flags), instruction.text)))
            self.say(f"STEP {number}/{len(instructions)}: {shown}")
            self._carry_out(instruction)
        if self._draft is None:
            raise DockerfileError(f"{instructions[0].file}: no FROM")
        return self._draft

    def _carry_out(self, instruction: Instruction) -> None:
        if instruction.keyword == "ARG":
            return self._arg(instruction)
        if instruction.keyword == "FROM":
            return self._from(instruction)
        if self._draft is None:
            instruction.refuse("FROM must come first")
        change = _CHANGES.get(instruction.keyword)
        if change is None:
            instruction.refuse(_REFUSED.get(instruction.keyword, "unknown instruction"))
        change(self, instruction, self._draft)
        if instruction.keyword not in ("COPY", "ADD"):
            what = f"/bin/sh -c #(nop) {instruction.keyword} {instruction.text}"
            self._draft.history.append({"created_by": what, "empty_layer": True})
        return None

    def _from(self, instruction: Instruction) -> None:
        words = instruction.words(self._known() | self._globals)
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
            instruction.refuse("want FROM image [AS name]")
        self._close_stage()
        self._draft, self._base = self._start(words[0]), None
        self._variables, self._shell, self._has_cmd = {}, _SHELL, False
        self.stages |= dict.fromkeys([str(self._stage_count), *(name.lower() for name in words[2:])], self._draft)
        self._stage_count += 1

    def _start(self, image: str) -> Draft:
        if image == "scratch":
            return Draft(self.platform)
        if (stage := self.stages.get(image.lower())) is not None:
            return Draft(
                stage.platform,
                {**stage.config},
                list(stage.layers),
                list(stage.history),
                stage.author,
            )
        return self.pull(image, self.platform)

    def _close_stage(self) -> None:
        if self._draft is not None:
            self._draft.freeze(self.storage)

    def _arg(self, instruction: Instruction) -> None:
        for word in instruction.words(self._scope()):
            name, equals, default = word.partition("=")
            value = self.arguments.get(name, default if equals else None)
            self.used.add(name)
            if value is None:
                value = self._known().get(name, self._globals.get(name))
            if value is not None:
                (self._globals if self._draft is None else self._variables)[name] = value

    def _known(self) -> dict[str, str]:
        """Arguments that every build has, to be declared by ARG before use in a stage."""
        target, host = self.platform, Platform("linux", host_architecture())
        return {
            "TARGETPLATFORM": str(target),
            "TARGETOS": target.os,
            "TARGETARCH": target.architecture,
            "TARGETVARIANT": target.variant,
            "BUILDPLATFORM": str(host),
            "BUILDOS": host.os,
            "BUILDARCH": host.architecture,
        }

    def _scope(self) -> dict[str, str]:
        """Variables as instructions see them: ENV wins over ARG."""
        return self._variables | (self._draft.environment if self._draft else self._globals)

    # Instructions that change the draft

    def _copy(self, instruction: Instruction, draft: Draft) -> None:
        *sources, destination = instruction.words(self._scope())
        if not sources:
            instruction.refuse("want sources and a destination")
        flags = {name: expand(value, self._scope()) for name, value in instruction.flags.items()}
        if unknown := set(flags) - {"from", "chown", "chmod", "link"}:
            instruction.refuse(f"--{unknown.pop()} is not supported by the lab's stand-in for buildah")
        workdir = draft.config.get("WorkingDir") or "/"
        if self._base is None:
            self._base = draft.base(self.storage)
        try:
            mode = int(flags["chmod"], 8) if "chmod" in flags else None
            owned = owner(flags.get("chown", "0:0"))
            is_unpacking = instruction.keyword == "ADD"
            order = Order(sources, absolute(workdir, destination), owned, mode, is_unpacking=is_unpacking)
            copy(order, self._source(flags.get("from")), draft.files, self._base)
        except (BuildahError, ValueError) as error:
            instruction.refuse(str(error))

    def _source(self, stage: str | None) -> Source:
        if stage is None:
            return self.context
        found = self.stages.get(stage.lower())
        if found is None:
            found = self.pull(stage, self.platform)
        return Stage(found.tree(self.storage))

    def _env(self, instruction: Instruction, draft: Draft) -> None:
        for name, value in instruction.pairs(self._scope()).items():
            draft.set_environment(name, value)

    def _label(self, instruction: Instruction, draft: Draft) -> None:
        draft.config["Labels"] = {**(draft.config.get("Labels") or {}), **instruction.pairs(self._scope())}

    def _workdir(self, instruction: Instruction, draft: Draft) -> None:
        path = absolute(draft.config.get("WorkingDir") or "/", expand(instruction.text, self._scope()))
        draft.config["WorkingDir"] = posixpath.normpath(path)
        if self._base is None:
            self._base = draft.base(self.storage)
        inside = posixpath.normpath(path).strip("/")
        if inside and inside not in self._base:
            with_parents(draft.files, inside, self._base)
            draft.files.setdefault(inside, DIRECTORY)

    def _set_cmd(self, instruction: Instruction, draft: Draft) -> None:
        draft.config["Cmd"] = self._command(instruction)
        self._has_cmd = True

    def _entrypoint(self, instruction: Instruction, draft: Draft) -> None:
        draft.config["Entrypoint"] = self._command(instruction)
        if not self._has_cmd:  # an inherited CMD belongs to the inherited ENTRYPOINT
            draft.config.pop("Cmd", None)

    def _command(self, instruction: Instruction) -> list[str]:
        given = instruction.json_form
        return [*self._shell, instruction.text] if given is None else given

    def _expose(self, instruction: Instruction, draft: Draft) -> None:
        ports = dict(draft.config.get("ExposedPorts") or {})
        for word in instruction.words(self._scope()):
            port, _, protocol = word.partition("/")
            if not port.isdigit():
                instruction.refuse("want port or port/protocol")
            ports[f"{port}/{protocol.lower() or 'tcp'}"] = {}
        draft.config["ExposedPorts"] = dict(sorted(ports.items()))

    def _volume(self, instruction: Instruction, draft: Draft) -> None:
        volumes = {word: dict[str, str]() for word in instruction.words(self._scope())}
        draft.config["Volumes"] = {**(draft.config.get("Volumes") or {}), **volumes}

    def _user(self, instruction: Instruction, draft: Draft) -> None:
        draft.config["User"] = expand(instruction.text, self._scope())

    def _stop_signal(self, instruction: Instruction, draft: Draft) -> None:
        draft.config["StopSignal"] = expand(instruction.text, self._scope())

    def _set_shell(self, instruction: Instruction, _: Draft) -> None:
        if not (given := instruction.json_form):
            instruction.refuse('want SHELL ["program", "argument"]')
        self._shell = given

    def _maintainer(self, instruction: Instruction, draft: Draft) -> None:
        draft.author = instruction.text


_CHANGES: dict[str, Callable[[Build, Instruction, Draft], None]] = {
    "ADD": Build._copy,
    "CMD": Build._set_cmd,
    "COPY": Build._copy,
    "ENTRYPOINT": Build._entrypoint,
    "ENV": Build._env,
    "EXPOSE": Build._expose,
    "LABEL": Build._label,
    "MAINTAINER": Build._maintainer,
    "SHELL": Build._set_shell,
    "STOPSIGNAL": Build._stop_signal,
    "USER": Build._user,
    "VOLUME": Build._volume,
    "WORKDIR": Build._workdir,
}
_REFUSED = {
    "RUN": "this is the lab's stand-in for buildah, which cannot run anything: "
    "install buildah on this machine, or COPY what RUN would make",
    "HEALTHCHECK": "not supported by the lab's stand-in for buildah (OCI images have no health check)",
    "ONBUILD": "not supported by the lab's stand-in for buildah",
}


def absolute(workdir: str, path: str) -> str:
    """A path in the image, relative ones below the working directory; a trailing slash stays."""
    joined = posixpath.join(workdir, path)
    return joined if joined.startswith("/") else f"/{joined}"


def owner(text: str) -> tuple[int, int]:
    """`uid[:gid]` in numbers, or root; names would need the image's /etc/passwd."""
    user, _, group = text.partition(":")
    try:
        uid = 0 if user == "root" else int(user)
        return uid, (0 if group == "root" else int(group)) if group else uid
    except ValueError:
        raise BuildahError(f"--chown={text}: the lab's stand-in for buildah takes numbers only") from None


def _shown(flags: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
