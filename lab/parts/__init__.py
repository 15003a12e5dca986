"""What a lab consists of beyond control planes: nodes, the federation, GitLab with its registry, the bridge.

Each part is a module with one coroutine that starts it and returns when it is ready.
"""
