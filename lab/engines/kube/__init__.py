"""Real Kubernetes from pinned Go modules: `go.mod` here and in `etcd/` say what, `build.py` says how."""
