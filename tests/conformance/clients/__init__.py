"""What other people's clients do, on either engine: none of ours is built on the last two."""
