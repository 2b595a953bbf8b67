"""What `pipelinectl demo` does: real messages, a killed worker, and a count that must come out."""
