"""The configuration of a run: sections, presets, overrides, TOML in and out."""

from tuitrain.config.errors import ConfigError
from tuitrain.config.keys import known_keys
from tuitrain.config.presets import Preset, UnknownPresetError, all_presets
from tuitrain.config.presets import find as find_preset
from tuitrain.config.run_config import RunConfig, difference, flatten, load_config, validate
from tuitrain.config.sections import ModelConfig, RopeScaling
