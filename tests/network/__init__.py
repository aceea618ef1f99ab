"""The embedded network: four organisations in one process, from endorsement to every peer's disk, and its faults."""
