"""What `verify` looks at. Nothing here is shared with the search but the network's definition."""
