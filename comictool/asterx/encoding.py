"""Encoding every panel of a split: one contextual vector each, in batches that run across comics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comictool.asterx.data import pair_arrays
from comictool.asterx.model import SequenceModel, SequenceOutput
from comictool.asterx.windows import Pairs, pairs_at, windows_at
from comictool.vectors.tables import Table

BATCH = 256


@dataclass
class Encoded:
    """What a model says of n panels, float32 on the CPU, rows in the order asked for.

    Attributes:
        rows: (n,).
        sequence, centre: (n, W) tokens, the mean of both layouts with two windows.
        prediction: (n, D) in the space of standardised features, likewise.
        order: (n, 2) logits that the next and that the previous window come after; nan where there is no such window.
        orderable: (n,) bool, see `windows`.
        tokens: (n, 1 + L, W), all of them, when asked for.
    """

    rows: np.ndarray
    sequence: np.ndarray
    centre: np.ndarray
    prediction: np.ndarray
    order: np.ndarray
    orderable: np.ndarray
    tokens: np.ndarray | None = None


def standard_matrix(model: SequenceModel, panels: Table, device: torch.device | str = "cpu") -> Tensor:
    """(N, D) vectors as the encoder takes them, in the type they are kept in, on a device."""
    vectors = torch.from_numpy(panels.vectors)
    if not bool(model.feature_mean.any()) and float(model.feature_scale) == 1.0:
        return vectors.to(device)
    mean, scale = model.feature_mean.cpu(), model.feature_scale.cpu()
    # In pieces: a whole float32 copy of a float16 matrix would take three times its memory.
    out = torch.empty_like(vectors)
    for start in range(0, len(vectors), 1 << 16):
        out[start : start + (1 << 16)] = (vectors[start : start + (1 << 16)].float() - mean) * scale
    return out.to(device)


@torch.inference_mode()
def encode_batches(
    model: SequenceModel,
    matrix: Tensor,
    panels: Table,
    rows: np.ndarray,
    *,
    two: bool = True,
    masked: bool = True,
    batch_size: int = BATCH,
    all_tokens: bool = False,
) -> Iterator[Encoded]:
    """Encode panels from the windows centred on them.

    Training shows `[CLS] window [SEP] neighbour` with the next and with the previous neighbour equally often, so with
    `two` both are encoded and their mean is taken: no coin decides what a panel's vector is. A panel with one
    neighbour is encoded with that, one with none alone.

    Args:
        matrix: of all panels, from `standard_matrix`, on the model's device.
        rows: of the panels to encode.
        two: with neighbouring windows; else `[CLS] window`.
        masked: hide the centre, as in training.
        all_tokens: keep every token of the first window.
    """
    model.eval()
    starts, ends = panels.starts, panels.ends
    for begin in range(0, len(rows), batch_size):
        centres = rows[begin : begin + batch_size]
        first, last = starts[centres], ends[centres]
        if not two:
            window = windows_at(model.window, centres, first, last)
            output = _encode(model, matrix, {"first": window.rows, "first_real": window.real}, masked)
            nothing = np.full((len(centres), 2), np.nan, np.float32)
            yield _collected(model, centres, [output], nothing, np.zeros(len(centres), bool), all_tokens)
            continue
        outputs, order = [], np.full((len(centres), 2), np.nan, np.float32)
        orderable = np.zeros(len(centres), bool)
        for column, following in enumerate((True, False)):
            pairs = pairs_at(model.window, centres, first, last, np.full(len(centres), following))
            output = _encode(model, matrix, pair_arrays(pairs), masked)
            asked = _asked(pairs, following)
            order[asked, column] = output.order.float().cpu().numpy()[asked]
            orderable = pairs.orderable
            outputs.append(output)
        yield _collected(model, centres, outputs, order, orderable, all_tokens)


def encode_panels(
    model: SequenceModel,
    matrix: Tensor,
    panels: Table,
    *,
    two: bool = True,
    masked: bool = True,
    batch_size: int = BATCH,
) -> Encoded:
    """Encode all panels of a split; see `encode_batches`."""
    parts = list(
        encode_batches(model, matrix, panels, np.arange(len(panels)), two=two, masked=masked, batch_size=batch_size)
    )
    names = ("rows", "sequence", "centre", "prediction", "order", "orderable")
    return Encoded(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _asked(pairs: Pairs, following: bool) -> np.ndarray:
    return pairs.second.present & (pairs.is_next == following)


def _encode(model: SequenceModel, matrix: Tensor, arrays: dict[str, np.ndarray], masked: bool) -> SequenceOutput:
    device = matrix.device
    place = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    hide = torch.full((len(place["first"]),), masked, device=device)
    second = matrix[place["second"]].float() if "second" in place else None
    output: SequenceOutput = model(
        matrix[place["first"]].float(), place["first_real"], hide, second, place.get("second_real")
    )
    return output


def _collected(
    model: SequenceModel,
    rows: np.ndarray,
    outputs: list[SequenceOutput],
    order: np.ndarray,
    orderable: np.ndarray,
    all_tokens: bool,
) -> Encoded:
    def mean(values: list[Tensor]) -> np.ndarray:
        found: np.ndarray = torch.stack([value.float() for value in values]).mean(dim=0).cpu().numpy()
        return found

    places = 1 + model.window.length
    return Encoded(
        rows,
        mean([output.sequence for output in outputs]),
        mean([output.centre for output in outputs]),
        mean([output.prediction for output in outputs]),
        order,
        orderable,
        mean([output.tokens[:, :places] for output in outputs]) if all_tokens else None,
    )
