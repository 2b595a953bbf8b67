"""What is wrong with a deployed pipeline, and how to mend it: facts, and rules over them."""
