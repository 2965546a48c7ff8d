"""Metrics by their published definitions, for notebooks: `import comictool as ct; ct.metrics.retrieval(...)`."""

from comictool.measure.agreement import bcubed, clustering_agreement, confusion, pairwise
from comictool.measure.chance import chance_of, random_precision, random_rank, random_reciprocal
from comictool.measure.intervals import bootstrap, wilson
from comictool.measure.points import Points
from comictool.measure.probes import knn, linear_probe
from comictool.measure.retrieval import Retrieval, macro, retrieval
from comictool.measure.verification import auroc, detection_at, equal_error_rate, error_rates, false_positives_at

__all__ = [
    "Points",
    "Retrieval",
    "auroc",
    "bcubed",
    "bootstrap",
    "chance_of",
    "clustering_agreement",
    "confusion",
    "detection_at",
    "equal_error_rate",
    "error_rates",
    "false_positives_at",
    "knn",
    "linear_probe",
    "macro",
    "pairwise",
    "random_precision",
    "random_rank",
    "random_reciprocal",
    "retrieval",
    "wilson",
]
