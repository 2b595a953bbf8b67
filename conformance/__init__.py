"""AWS's conformance tests of durable functions, on a local cloud."""
