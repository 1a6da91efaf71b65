"""The verbs of the command line, by what they are for. What they need is imported when they run."""
