"""Finding what is wrong in a corpus (`data verify`)."""

from comictool.corpus.verifying.checking_corpus import verify
from comictool.corpus.verifying.checking_pages import Finding

__all__ = ["Finding", "verify"]
