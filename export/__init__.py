"""How artifacts are made: recipes -> formats x schemes -> artifact + sidecar."""
