"""What Isthmus costs, measured: each program prints a table and, with `--json FILE`, writes its rows.

Figures are ratios to something measured in the same run wherever they can be, so that two machines can be compared.
`docs/performance.md` has the last figures seen.
"""
