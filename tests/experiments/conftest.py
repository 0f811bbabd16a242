"""A trained run that tests of several files look at and copy."""

import pytest
from small_config import small_config

from experiments import run


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('trained') / 'run'
    return workdir, run.train(small_config(), workdir, quiet=True)
