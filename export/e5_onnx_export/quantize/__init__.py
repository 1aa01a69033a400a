"""int8 and int4: how weights are rounded, and what decides how."""
