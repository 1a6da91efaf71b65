"""What people and systems use: the command line, the at-risk list, the report, the scoring service."""
