"""Signals of one kind in, tokens with times out: one file per kind of signal, one type, ``Tokens``.

``spikes`` one token per spike · ``binned`` counts, or behaviour · ``field`` LFP and ECoG · ``emg`` · ``calcium``,
with ``deconvolution`` · ``eeg`` · ``fmri``. What they share: ``frames`` taps and clocks, ``spectra`` band power,
``scaling`` units of the data, ``channels`` places and sums over a population.

What holds for all: a config has the rate, as durations become taps when it is built. Padding, whatever it holds,
changes nothing. Channels have no order. Masked tokens are zero, at time 0. A token is at the centre of its patch,
or at its end if ``causal``. ``standardise(inputs)`` takes the scale of channels, and the level of their power in
bands, from training data, where there is one to take; call it once per recording, with windows that cover every channel.
"""

from neurolib.models.multimodal.tokenizers.binned import BinnedTokenizerConfig
from neurolib.models.multimodal.tokenizers.calcium import CalciumTokenizerConfig
from neurolib.models.multimodal.tokenizers.eeg import EEGTokenizerConfig
from neurolib.models.multimodal.tokenizers.emg import EMGTokenizerConfig
from neurolib.models.multimodal.tokenizers.field import FieldTokenizerConfig
from neurolib.models.multimodal.tokenizers.fmri import FMRITokenizerConfig
from neurolib.models.multimodal.tokenizers.spikes import SpikeEventTokenizerConfig

TokenizerConfig = (
    BinnedTokenizerConfig
    | CalciumTokenizerConfig
    | EEGTokenizerConfig
    | EMGTokenizerConfig
    | FieldTokenizerConfig
    | FMRITokenizerConfig
    | SpikeEventTokenizerConfig
)


def default_tokenizers() -> dict[str, TokenizerConfig]:
    """A config for each modality, with the rate at which it usually comes.

    Examples
    --------
    >>> {name: config.rate_hz for name, config in default_tokenizers().items()}
    {'spike': 50.0, 'lfp': 500.0, 'calcium': 30.0, 'eeg': 160.0, 'fmri': 0.5, 'ecog': 500.0, 'emg': 1000.0}
    """
    return {
        "spike": BinnedTokenizerConfig(),
        "lfp": FieldTokenizerConfig(),
        "calcium": CalciumTokenizerConfig.two_photon(),
        "eeg": EEGTokenizerConfig(),
        "fmri": FMRITokenizerConfig(),
        "ecog": FieldTokenizerConfig.ecog(),
        "emg": EMGTokenizerConfig(),
    }
