"""What can go wrong, as one tree; `__main__` prints the message after `Error: ` and exits with buildah's 125.

BuildahError            anything the user can mend: the message says what and how
  DockerfileError       an instruction that is wrong or that a stand-in cannot carry out; names file and line
  RegistryError         a registry's refusal, or no registry at all
    Unauthorized        the credentials are wrong, missing or not enough
"""


class BuildahError(Exception):
    """The root; raised itself for command lines and local images."""


class DockerfileError(BuildahError):
    """Wrong instruction; the message starts with `<file>:<line>: <KEYWORD>`."""


class RegistryError(BuildahError):
    """A registry answered with an error, or did not answer."""


class Unauthorized(RegistryError):
    """401 or 403 after trying the credentials at hand."""
