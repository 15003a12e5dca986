"""Nouns: frozen dataclasses with the fields we decide on, each made by one `parse(manifest)`."""
