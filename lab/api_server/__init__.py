"""The embedded Kubernetes API server of the lab.

`core` keeps objects and answers requests without a socket or a clock of its own, so that a simulation can run it in
memory on virtual time; `http` is the thin aiohttp shell around it. It is for trying and testing only: state lives in
memory, and where it differs from a real kube-apiserver it is wrong. It imports nothing else of Isthmus on purpose, so
that a misunderstanding of the API cannot hide on both sides of the wire.
"""
