"""What the user types: parsing and printing only. Nothing heavy is imported at module level here."""
