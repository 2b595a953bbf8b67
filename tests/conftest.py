"""What all tests share."""

pytest_plugins = ["faults.pytest_plugin"]
