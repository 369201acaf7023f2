"""Several places where models run, as one."""
