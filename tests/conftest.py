"""Test settings: four simulated CPU devices for everything, small hypothesis runs."""

import os

import hypothesis
import jax

jax.config.update('jax_num_cpu_devices', 4)

hypothesis.settings.register_profile('default', max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile('thorough', max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))
