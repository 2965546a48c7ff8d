"""Files sorted by character (`reid classify`, `reid undo`).

`classify` decides picture by picture, `actions` says where each goes, `moving` gets it there, `journal` notes it first,
`undoing` takes it back, `report_page` shows the run.
"""
