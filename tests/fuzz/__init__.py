"""Everything that reads what strangers write, against values of every wrong kind (rule T1)."""
