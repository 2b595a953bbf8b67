"""The validate stage: says of each record whether it is well-formed, and every reason why not."""
