"""Pages that occur twice, and comics that lie inside other comics. Nothing here deletes anything."""
