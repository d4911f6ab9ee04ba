"""Settings: from keyword arguments, from the section `[store.blob.s3]` of a TOML file, or from the environment."""
