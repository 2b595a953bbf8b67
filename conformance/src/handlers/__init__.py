"""A durable function for each of AWS's requirements, a module for each suite."""
