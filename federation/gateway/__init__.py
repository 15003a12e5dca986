"""The kubelet surface of virtual nodes: logs, exec, attach and port-forward of proxies, from where they really run."""
