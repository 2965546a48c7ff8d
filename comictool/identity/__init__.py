"""Who is who: instances of characters with a face, a body or both, and the two stages that learn to tell them apart."""
