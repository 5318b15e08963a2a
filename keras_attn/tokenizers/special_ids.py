"""The ids that every vocabulary begins with."""

PAD = 0
START = 1
END = 2
UNKNOWN = 3
COUNT = 4
