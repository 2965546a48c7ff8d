"""Self-contained HTML contact sheets and reports."""
