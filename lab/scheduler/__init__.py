"""The embedded engine's kube-scheduler: a plain API client that places pods and speaks the extender protocol."""
