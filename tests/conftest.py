"""Test settings: four simulated CPU devices for everything, small hypothesis runs, quick compilers."""

import os

import hypothesis
import jax
import pytest

from hls_export.toolchain import MODES

jax.config.update('jax_num_cpu_devices', 4)

# Nothing fails because the machine is busy: no deadline for an example, none for drawing one.
UNTIMED = {'deadline': None, 'suppress_health_check': [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile('default', max_examples=16, derandomize=True, **UNTIMED)
hypothesis.settings.register_profile('thorough', max_examples=1000, **UNTIMED)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before any fixture: the trainings of tests/experiments, whose time goes into XLA, are hardly optimized.

    The other folders compare what XLA makes of a network, as it is compiled for users, with other routes to the same
    numbers; so do the processes of test_wheel.py through the whole road, and tests/experiments under `make laws`.
    """
    quick = hypothesis.settings.default.max_examples <= 25 and item.path.parent.name == 'experiments'
    jax.config.update('jax_disable_most_optimizations', quick)


@pytest.fixture(scope='module')
def quick_compiler():
    """Most of the time of a simulation goes into the compiler, and the tests' networks are small."""
    with pytest.MonkeyPatch.context() as patch:
        for mode in MODES:
            patch.setenv(f'OPTIMIZE_{mode}', '-O0')
        yield


# Files that take a minute or more come first, so that no worker is left with one of them at the end.
LONGEST = (
    *('test_compare.py', 'test_torture.py', 'test_cluster.py', 'test_greedy.py', 'test_network.py'),
    *('test_interruption.py', 'test_experiments.py', 'test_verilog_parts.py', 'test_wheel.py'),
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
