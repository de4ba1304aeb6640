"""What we want: the data of each environment, its types, and what a deployment gives to the tools."""
