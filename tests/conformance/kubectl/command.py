"""Running stock kubectl as a person does, and taking out of its output what no two runs share."""

import asyncio
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from lab.engines.engine import kube_directory

COMMAND_SECONDS = 120  # kubectl's own waits are shorter; this only ends a command that hangs
LOGGED = re.compile(r"^[IWE][0-9]{4} .*\n", re.MULTILINE)  # what kubectl's libraries log, at times of their own
CHANGING = (
    (re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"(?<![\w./-])([0-9]+[dhms])+ \(x[0-9]+ over ([0-9]+[dhms])+\)"), "AGE"),
    (re.compile(r"(?<![\w./-])([0-9]+[dhms])+(?![0-9a-z.-])"), "AGE"),
    (re.compile(r"\b10\.[0-9]+\.[0-9]+\.[0-9]+\b"), "IP"),
    (re.compile(r" +"), " "),
    (re.compile(r" +$", re.MULTILINE), ""),
)


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of one cluster."""

    kubeconfig: Path
    namespace: str
    cache: Path

    async def ended(self, *arguments: str, text: str = "", **environment: str) -> tuple[int, str]:
        """Run it; return its exit code and what it printed on both streams."""
        process = await asyncio.create_subprocess_exec(
            kube_directory() / "kubectl",
            *("--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.cache)),
            *(("-n", self.namespace) if self.namespace else ()),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PATH": f"{kube_directory()}:{os.environ['PATH']}", **environment},
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                out, _ = await process.communicate(text.encode())
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return process.returncode, LOGGED.sub("", out.decode())

    async def __call__(self, *arguments: str, text: str = "", **environment: str) -> str:
        """Run what must succeed; return what it printed."""
        code, out = await self.ended(*arguments, text=text, **environment)
        assert code == 0, f"kubectl {' '.join(arguments)}: {out}"
        return out

    async def fails(self, *arguments: str, text: str = "", code: int = 1) -> str:
        """Run what must fail; return what it printed."""
        ended, out = await self.ended(*arguments, text=text)
        assert ended == code, f"kubectl {' '.join(arguments)} ended with {ended}: {out}"
        return out

    async def table(self, *arguments: str) -> str:
        """Run what must succeed; return what it printed, comparable."""
        return plain(await self(*arguments))

    def anywhere(self) -> "Kubectl":
        """Return kubectl without a namespace of its own."""
        return replace(self, namespace="")


def plain(text: str) -> str:
    """Take out ages, times, UIDs, cluster addresses and the width of columns."""
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text
