"""The program that becomes a container: started once per container and once per exec, standard library only.

It runs in an interpreter of its own (`python -I -S`), because entering namespaces concerns the whole process and must
not happen in the kubelet, and because its start-up time is part of every container's.
"""
