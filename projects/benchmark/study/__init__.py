"""Tables of results: what is trained, the runs, their statistics and the report."""
