"""What other programs can ask: MCP over standard input and output, HTTP on this machine, and pages for a browser."""
