"""The few ways in which state changes: files are imported, keys are made and revoked, sample data is written."""
