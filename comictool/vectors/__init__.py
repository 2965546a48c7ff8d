"""From pictures to columns of vectors, and what keeps them.

A *column* (`columns`) is a level (page, panel, character) x a modality (image, sequence, any word), with all that
decides its numbers. `store` is the folder that keeps columns, with `metadata` (SQLite), `rows` and `writing` (arrays)
and `publish`, the one step that makes anything current. `job` is `embed`: `pages` lists what a corpus, a pack or a
folder of crops holds, `plan` which of it is new, `parts` keeps what is finished; `merge` joins shards. `published` is
the door to other programs (`packs`: HDF5 with a JSON index) and adds columns that somebody else computed
(`write_column`). `tables` gives a column split by split in memory and `collection` what a query needs, each from a
store or from packs.

`pictures` says which pictures, and which parts of them, get a vector; `sources` lists those of a corpus, a pack or a
folder of crops; `files` finds picture files. `stream` turns pictures into vectors: `EmbeddingStream` in this process,
`EmbedPictures` as the work of a job. `reading` is from an encoded picture to the pixels that an encoder takes,
`batches` fills an encoder's batches with them, `cache` keeps vectors by content, `encoders` loads an encoder when it
is first needed.
"""
