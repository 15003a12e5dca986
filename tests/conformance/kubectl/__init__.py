"""What people do with kubectl, said once and judged on both engines."""
