"""The mutating webhook of a source: elected pods become proxy pods."""
