"""A user's own network: one file that holds it, the data beside it, and what edgewise.toml says of it."""
