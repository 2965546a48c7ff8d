"""Leaving out rare characters and poor instances; listing pages whose text fits (`data filter`)."""
