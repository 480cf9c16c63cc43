"""The shallow network: its table and trie, its literal three-layer form, and the file it is kept in."""
