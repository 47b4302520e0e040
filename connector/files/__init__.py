"""The operator's files: `policies/` and `catalog/`, read strictly, put in force as a whole or not at all."""
