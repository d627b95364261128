"""Options of the config on the command line."""

from argparse import ArgumentParser

import pytest

from mmdet3d_medical.apis.options import spell_options
from mmdet3d_medical.cli.arguments import add_config_options
from mmdet3d_medical.utils.errors import UsageError


def parsed(*options):
    parser = ArgumentParser()
    add_config_options(parser)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


@pytest.mark.parametrize(
    'option, value',
    [
        ('a.b=my data/ CT', 'my data/ CT'),
        ("a.b='my data'", 'my data'),
        ('a.b= 5', 5),
        ('a.b=[1, 2]', [1, 2]),
        ('a.b=x, y', ['x', 'y']),
        ('a.b=None', None),
        ('a.b=data/{1}/x', 'data/{1}/x'),
        ("a.b=[{'type': 'A B', 'c': (1, 2)}]", [dict(type='A B', c=(1, 2))]),
    ],
)
def test_values_are_read_as_they_are_written(option, value):
    assert parsed(option) == {'a.b': value}


@pytest.mark.parametrize('option', ['a=[my data, other]', 'a=my data,other', "a=['my data']"])
def test_blanks_in_lists_are_refused(option, capsys):
    """mmengine deletes them."""
    with pytest.raises(SystemExit):
        parsed(option)
    assert 'lists take no blanks within a value' in capsys.readouterr().err


@pytest.mark.parametrize(
    'value', ['a b', '', 'c', 1, 0.5, None, True, [1, 2], ['a', 'b'], [dict(type='A B')], dict(a=1)]
)
def test_what_is_spelled_is_read_as_it_was(value):
    assert parsed(*spell_options({'a': value})) == {'a': value}


@pytest.mark.parametrize('value', ['a,b', "a'b", '[a', ['a b']])
def test_what_would_be_read_otherwise_is_refused(value):
    with pytest.raises(UsageError, match='cannot be handed on'):
        spell_options({'a': value})
