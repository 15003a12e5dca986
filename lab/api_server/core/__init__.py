"""Objects, revisions and the wire formats that every kind shares."""
