"""Other annotation formats at the door: each opens as a corpus without conversion, and a corpus is written as each.

`registry` is the table of them and has `open_any`; `keeping` says what a format has room for; one file for each format.
"""
