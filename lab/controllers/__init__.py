"""The embedded engine's kube-controller-manager: one reconciler per file, each a plain API client."""
