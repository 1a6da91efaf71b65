"""What can be learnt from snapshots: labels, panels, models, measures, reasons, the registry."""
