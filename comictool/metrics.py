"""Metrics by their published definitions, for notebooks: `import comictool as ct; ct.metrics.retrieval(...)`."""

from comictool.measure.agreement import clustering_agreement, confusion
from comictool.measure.chance import chance_of, random_precision, random_rank
from comictool.measure.intervals import bootstrap, wilson
from comictool.measure.points import Points
from comictool.measure.probes import knn, linear_probe
from comictool.measure.retrieval import Retrieval, macro, retrieval
from comictool.measure.verification import detection_at, equal_error_rate, error_rates, false_positives_at

__all__ = [
    "Points",
    "Retrieval",
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
    "random_precision",
    "random_rank",
    "retrieval",
    "wilson",
]
