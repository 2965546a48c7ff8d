"""Leaving out rare characters and poor instances; listing pages whose text fits (`data filter`)."""

from comictool.corpus.filtering.aligned import AlignedReport, aligned_pages
from comictool.corpus.filtering.identities import MIN_FREQUENCY, filter_characters
from comictool.corpus.filtering.instances import Instance, InstanceRules, filter_instances, instance_verdict
from comictool.corpus.filtering.removing import FilterReport

__all__ = [
    "MIN_FREQUENCY",
    "AlignedReport",
    "FilterReport",
    "Instance",
    "InstanceRules",
    "aligned_pages",
    "filter_characters",
    "filter_instances",
    "instance_verdict",
]
