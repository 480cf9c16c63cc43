"""Questions answered about the network as it is, by searches that prove their answer; no conversion needed."""
