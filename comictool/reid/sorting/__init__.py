"""Files sorted by character (`reid classify`, `learn`, `cluster`, `name`, `undo`).

`classify` decides picture by picture, `actions` says where each goes, `moving` gets it there, `journal` notes it first,
`undoing` takes it back. `report_page` shows the run and asks (`review_cards`, the most useful first: `worth`).
`learning` takes over what a person corrected: `positions` finds what they moved, `corrections` what they meant.
`group_filing` does the same for groups without references (`reid cluster -o`, `reid name`).
"""
