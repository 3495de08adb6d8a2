from dataclasses import replace

import pytest

from liber_tasks.errors import InputError
from liber_tasks.fusion.model import ModelConfig, build
from tests.backbones.batches import config, vocabulary


def test_a_configuration_survives_its_dictionary() -> None:
    assert ModelConfig.from_dict(config().to_dict()) == config()


def test_a_model_of_another_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"format 0.*liber train"):
        ModelConfig.from_dict({**config().to_dict(), "format": 0})


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'dni'.*din"):
        build(replace(config(), backbone="dni"), vocabulary())
