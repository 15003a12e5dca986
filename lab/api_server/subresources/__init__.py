"""The subresources that do something of their own; `status` is an ordinary update."""
