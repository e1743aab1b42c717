"""Import: a file of members, as large as it likes, through the API; ``beckon loyalty import``."""
