"""A stand-in for the `buildah` command, for machines of the lab that have none.

It writes real OCI images and speaks to real registries, but it cannot run anything: a RUN instruction is refused.
Command lines are buildah's, so that a `.gitlab-ci.yml` needs no change when it moves to a real cluster. Only the
standard library is imported, because every line of a CI script starts a new process.
"""
