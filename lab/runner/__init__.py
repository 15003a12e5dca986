"""The lab's GitLab Runner: `gitlab-runner`'s command line and wire behaviour with the shell executor, small and quick
to start.

It stands in the pods for the real one, which can take its place without any other change. What it keeps true: the
order and content of its requests, the trace's format, exit codes and signals (`run-single` in particular, which a
one-job pod runs). It starts once per CI job, so it imports the standard library only and as little of that as it can.
It is synchronous, with one thread besides: the one that sends the trace.
"""

VERSION = "19.3.0-isthmus-lab"
