"""Several sites in one container: compose/emperor.yaml."""
