"""The kube-scheduler extender of a target: holds a candidate's node until the source lets one candidate go ahead."""
