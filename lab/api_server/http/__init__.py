"""The shell: sockets, TLS, streams, webhooks and kubelets."""
