"""Re-identification: which enrolled character a picture shows."""
