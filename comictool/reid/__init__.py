"""Re-identification: which enrolled character a picture shows.

`configuration` and `references` read what is enrolled, `gallery` keeps it, `scoring` compares, `calibration` (by
`impostors`) says from which score on a name is given, `sorting/` files pictures by it. Without references:
`clustering`, `grouping`. Measured: `evaluation` (of `labelled` pictures), which `reranking` serves.
"""
