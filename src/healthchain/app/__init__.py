"""The one place that chooses an engine and joins the parts."""
