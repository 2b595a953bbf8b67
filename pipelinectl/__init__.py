"""The operator's command line of durable-pipeline, a thin shell over a small library."""
