"""A library as web pages and a JSON API: reading only, for a browser on this machine or, with a token, on others."""
