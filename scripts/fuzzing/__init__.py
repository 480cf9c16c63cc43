"""The fuzzer's parts: what is run, what it begins with, and how files are changed so that they stay files."""
