"""What the connector does in numbers, beside Eclipse EDC in the same run: `make bench` writes RESULTS.md."""
