"""The files of one organisation's part of a network on several machines."""
