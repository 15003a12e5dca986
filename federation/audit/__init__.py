"""`isthmus audit`: reads a whole federation, from its source, and says what is wrong. Writes nothing anywhere."""
