"""What executions used, what AWS charges for it, and what a month of records would come to."""
