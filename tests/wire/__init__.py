"""The bytes shared with Fabric: vectors, round trips, and what malformed bytes lead to."""
