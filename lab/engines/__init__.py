"""Two engines for the lab's clusters: `embedded` (our small control plane) and `kube` (the real one)."""
