#!/bin/sh
# What the Linux images run: greet, say where this runs and which job built it.
echo "$GREETING: $(uname -s)/$(uname -m)"
cat /app/built-by.txt
