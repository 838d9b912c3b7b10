"""What the integration tests stand on: a node, a scripted origin, a raw client, Redis real and scripted, waiting on
what is observed."""
