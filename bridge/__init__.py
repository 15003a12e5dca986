"""From tags to runner pods: pending GitLab CI jobs become one-job runners in the cluster that has their hardware.

The bridge reads which jobs wait, decides with a pure function how many runners each profile needs, and creates that
many Kubernetes Jobs whose pods are federated to the profile's targets. It never runs a job, never hands one out and
never talks to a target cluster: GitLab matches jobs to runners by tag, and federation carries the pods.
"""
