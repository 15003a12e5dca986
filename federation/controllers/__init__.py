"""One reconciler per file, named after what it keeps true. `reconcile(key)` returns when to look again."""
