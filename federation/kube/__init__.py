"""The wire to a Kubernetes API server: requests, watches, stores, queues. Knows no domain."""
