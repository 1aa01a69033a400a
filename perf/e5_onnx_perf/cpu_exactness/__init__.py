"""int8 on CPUs whose kernels saturate."""
