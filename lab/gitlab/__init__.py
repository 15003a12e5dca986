"""The lab's GitLab: git over HTTP, pipelines from `.gitlab-ci.yml`, the runner protocol and the REST calls that a
bridge needs.

It stands in for a GitLab server in a lab on one machine, so that GitLab Runner, python-gitlab, git and registry
clients can talk to it unchanged. What it keeps true is what those clients can see: status codes, headers, JSON
shapes, the order of job states, when a token dies. Where it is narrower than GitLab it refuses with an error that
names the key, and never silently does something else.

The core (`state`, `states`, `projects`, `runners`, `pipelines`, `jobs`, `ci/`) does no I/O and reads no clock of its
own; the shell (`server`, `http_*`, `repositories`) carries bytes. Nothing here is imported from the rest of the
project.
"""
