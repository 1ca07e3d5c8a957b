"""How the tables came to be as they are: a folder for each service, a file for each step."""
