"""An encoder that is loaded when something has to be computed, and not before."""

from __future__ import annotations

import os
import threading
from functools import cached_property, lru_cache

from comictool.core.errors import InputError
from comictool.plugins.encoder import Encoder
from comictool.plugins.known import known_encoder_id, known_manifest, needs_torch
from comictool.plugins.load import EncoderSpec
from comictool.plugins.manifest import Manifest


class LazyEncoder:
    """An encoder whose encoder_id is known before it is loaded, where its plugin says it.

    Args:
        spec: which; remembered by `EncoderSpec.remembered`, found again by `EncoderSpec.recalled`.

    Raises:
        UsageError, InputError: no such plugin, a damaged manifest, or code without trust.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec
        self.needs_torch = needs_torch(spec)
        self._loaded: Encoder | None = None
        self._loading = threading.Lock()
        self._encoder_id = known_encoder_id(spec)
        if self.needs_torch:
            # Torch's threads wait for each other by spinning unless told otherwise before it is imported. Beside
            # threads that decode pictures this took three times the processor and wall time (ResNet-18, two cores).
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    @property
    def encoder_id(self) -> str:
        """See `comictool.plugins.encoder.Encoder`."""
        return self._encoder_id if self._encoder_id is not None else self.loaded().encoder_id

    def loaded(self) -> Encoder:
        """The encoder; raises what `comictool.plugins.load.load_encoder` raises."""
        with self._loading:
            if self._loaded is None:
                encoder = self.spec.load()
                if self._encoder_id is not None and encoder.encoder_id != self._encoder_id:
                    raise InputError(
                        f"plugin {self.spec.name_or_path} changed while it was being loaded",
                        cause=f"its encoder_id is {encoder.encoder_id}, a moment ago it was {self._encoder_id}",
                    )
                self._loaded = encoder
            return self._loaded

    @cached_property
    def manifest(self) -> Manifest:
        """See `comictool.plugins.encoder.Encoder`; read without loading where a plugin has one."""
        known = known_manifest(self.spec)
        return known if known is not None else self.loaded().manifest

    @cached_property
    def dimension(self) -> int:
        """Numbers per vector; known without loading where the manifest says it."""
        known = known_manifest(self.spec)
        return known.vector.dimension if known is not None and known.vector is not None else self.loaded().dimension


@lru_cache(maxsize=1)
def lazy_encoder(spec: EncoderSpec) -> LazyEncoder:
    """The encoder of a spec, the same one whenever this process asks for it again."""
    return LazyEncoder(spec)
