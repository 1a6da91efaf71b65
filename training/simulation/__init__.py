"""A company whose truth is known: its calendar, its customers, what they live through, what is written."""
