import pytest
from study.table import read_table, runs_of

from mmdet3d_medical.utils.errors import UsageError


def test_rows_hold_what_is_trained(write_table, tmp_path):
    table = read_table(write_table())
    assert (table.name, table.seeds, table.scored_on) == ('table', (0, 1), 'test')
    assert table.data == tmp_path / 'data.yml'
    plain, mixed, later = table.rows.values()
    assert plain.label == 'plain' and mixed.label == 'with MixUp'
    assert mixed.setting.options == {'train_cfg.max_iters': 4, 'model.seed': 1}
    assert (mixed.baseline, mixed.paper, plain.paper) == ('plain', 0.5, None)
    assert later.setting.start == plain.setting and plain.setting.start is None
    assert not plain.setting.amp


def test_options_of_a_row_come_before_those_of_the_table(write_table):
    path = write_table(rows=[dict(name='a', config='a.py', options={'train_cfg.max_iters': 9})])
    assert read_table(path).rows['a'].setting.options == {'train_cfg.max_iters': 9}


def test_rows_show_the_runs_of_other_tables(write_table):
    write_table('first', amp=True)
    path = write_table(
        'second',
        rows=[
            dict(name='again', same_as='first/mixed', label='K = 4'),
            dict(name='once more', same_as='again'),
        ],
    )
    with pytest.raises(UsageError, match='row 2 .once more.: name becomes a file name'):
        read_table(path)
    path = write_table(
        'second',
        rows=[
            dict(name='again', same_as='first/mixed', label='K = 4'),
            dict(name='more', same_as='again', baseline='again'),
            dict(name='on', config='plain.py', start='first/plain'),
        ],
    )
    again, more, on = read_table(path).rows.values()
    assert again.label == 'K = 4' and more.label == 'more'
    assert (again.setting.table, again.setting.name, again.setting.amp) == ('first', 'mixed', True)
    assert more.setting == again.setting
    assert (on.setting.table, on.setting.start.table) == ('second', 'first')


def test_teachers_are_runs_of_a_row_with_other_seeds(write_table):
    taught = dict(name='taught', config='a.py', teachers=dict(row='plain', offsets=[0, 2]))
    path = write_table(seeds=[1], rows=[dict(name='plain', config='a.py'), taught])
    plain, run = runs_of(read_table(path))
    assert [one.name for one in run.teachers] == ['table/plain_seed1', 'table/plain_seed3']
    assert run.needed == run.teachers and run.start is None
    assert plain.teachers == plain.needed == ()


def row(**changes):
    return dict(rows=[{'name': 'a', 'config': 'a.py', **changes}])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(seed=[1]), r"\['seed'\] are not known"),
        (dict(seeds=[]), 'seeds must be different integers'),
        (dict(seeds=[0, 0]), r'seeds must be different .* found \[0, 0\]'),
        (dict(seeds=[True]), 'seeds must be different integers'),
        (dict(scored_on='training'), "scored_on must be one of .* found 'training'"),
        (dict(rows=[]), 'rows must be a list of at least one row'),
        (dict(options=['a=1']), 'options must be values by dotted key'),
        (dict(rows=['a']), 'row 1: expected the keys'),
        (dict(rows=[dict(config='a.py')]), r"row 1: \['name'\] are missing"),
        (dict(rows=[dict(name='a')]), 'row 1 .a.: expected a config, or same_as'),
        (dict(rows=[dict(name='a', config='a.py')] * 2), 'row 2 .a.: another row has this name'),
        (row(name='a/b'), 'name becomes a file name'),
        (row(same_as='b'), r"has no \['config'\] of its own"),
        (
            row(options={'model': {'views': 1}}),
            'option model must be one value .* write model.views',
        ),
        (row(paper='66.6'), "paper must be a number, found '66.6'"),
        (dict(x_label='scans'), 'has an x_label, so row plain needs an x'),
        (row(baseline='b'), r"row a has the baseline 'b', but the rows are \['a'\]"),
        (row(start='b'), r"start names 'b', expected one of the rows above, \[\]"),
        (row(start='a'), "start names 'a', expected one of the rows above"),
        (row(start='none/a'), 'there is no .*none.yml'),
        (row(start='table/a'), 'table.yml refers to this table in turn'),
        (row(teachers='b'), r'teachers: expected the keys'),
        (row(teachers=dict(row='b', offsets=[0])), "teachers names 'b', expected one of the rows"),
        (row(teachers=dict(row='b', offsets=[0, 0])), r'different integers .* found \[0, 0\]'),
        (row(teachers=dict(row='b', offsets=[])), r'different integers .* found \[\]'),
    ],
)
def test_mistakes_are_named(changes, message, write_table):
    with pytest.raises(UsageError, match=message) as error:
        read_table(write_table(**changes))
    assert str(write_table().parent) in str(error.value)


def test_tables_that_refer_to_each_other_are_refused(write_table):
    write_table('one', rows=[dict(name='a', same_as='two/a')])
    with pytest.raises(UsageError, match='two.yml refers to this table in turn'):
        read_table(write_table('two', rows=[dict(name='a', same_as='one/a')]))


@pytest.mark.parametrize('change', [dict(data='other.yml'), dict(scored_on='validation')])
def test_runs_scored_on_other_scans_are_refused(change, write_table):
    write_table('first', **change)
    with pytest.raises(UsageError, match=f'first.yml has {next(iter(change))}'):
        read_table(write_table('second', rows=[dict(name='a', same_as='first/plain')]))


@pytest.mark.parametrize('text', ['', 'rows: [', 'just text'])
def test_what_is_no_table_is_refused(text, tmp_path):
    path = tmp_path / 'table.yml'
    path.write_text(text)
    with pytest.raises(UsageError, match=f'{path}(: expected the keys| is not valid YAML)'):
        read_table(path)
