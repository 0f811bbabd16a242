"""Test settings: four simulated CPU devices for everything, small hypothesis runs."""

import os

import hypothesis
import jax

jax.config.update('jax_num_cpu_devices', 4)

# Nothing fails because the machine is busy: no deadline for an example, none for drawing one.
UNTIMED = {'deadline': None, 'suppress_health_check': [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile('default', max_examples=25, derandomize=True, **UNTIMED)
hypothesis.settings.register_profile('thorough', max_examples=1000, **UNTIMED)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))
