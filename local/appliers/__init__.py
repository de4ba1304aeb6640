"""How each resource type of the program is made in the embedded AWS: one module a service, plain boto3 calls."""
