"""The encoder that ships with the tool and always works: no weights, no torch, no download."""
