"""What the integration tests stand on: a node, a scripted origin, a raw client, waiting on what is observed."""
