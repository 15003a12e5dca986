"""A container registry for the lab: the OCI distribution protocol over TLS, with GitLab's token authentication.

It serves what skopeo, buildah and a bridge that verifies images use, and answers the rest with the protocol's own
errors. It is for trying and testing: one process, files on one disk, no garbage collection. It imports nothing of ours,
so that a misunderstanding of the protocol cannot hide on both sides of the wire.
"""
