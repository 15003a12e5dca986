"""What looks at a write between authorization and storage, in upstream's order."""
