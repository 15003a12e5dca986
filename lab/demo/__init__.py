"""`isthmus lab demo`: a push to the lab's GitLab, its jobs in three clusters, its images in one registry.

Two programs. `run` starts a lab, pushes the example and shows each job on its way. What came of it is found out, judged
and printed by `verify`, another process, which asks clusters, GitLab and registry, and knows nothing of what `run` saw.
"""
