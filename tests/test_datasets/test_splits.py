"""Splits: LUNA16's arithmetic, nesting, disjointness, regeneration."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets.splits import (
    choose_train_subsets,
    deal_folds,
    find_divided,
    first_scans,
    group_subsets,
    in_brief,
    make_splits,
    put_folds,
    write_splits,
)

LUNA16_SIZES = {k: 88 if k in (8, 9) else 89 for k in range(10)}
LABELED, UNLABELED = [25, 50, 100], [100, 200, 300, 400]


def make_scans(sizes):
    return [
        dict(scan_id=f'{subset}.{k}', subset=subset)
        for subset, size in sizes.items()
        for k in range(size)
    ]


def test_luna16_is_split_into_533_and_355_scans():
    lists = make_splits(make_scans(LUNA16_SIZES), labeled=LABELED, unlabeled=UNLABELED)
    assert choose_train_subsets(LUNA16_SIZES) == [0, 1, 2, 3, 4, 8]  # 5 * 89 + 88
    assert len(lists['train']) == 533 and len(lists['test']) == 355
    assert not set(lists['train']) & set(lists['test'])
    assert sum(len(lists[f'subset{k}']) for k in range(10)) == 888


def test_labeled_and_unlabeled_are_nested_and_disjoint():
    lists = make_splits(make_scans(LUNA16_SIZES), labeled=LABELED, unlabeled=UNLABELED)
    for size in LABELED:
        assert len(set(lists[f'labeled_{size}'])) == size
        assert lists[f'labeled_{size}'] == lists['labeled_100'][:size]
    for size in UNLABELED:
        assert len(set(lists[f'unlabeled_{size}'])) == size
        assert lists[f'unlabeled_{size}'] == lists['unlabeled_400'][:size]
    assert not set(lists['labeled_100']) & set(lists['unlabeled_400'])
    assert set(lists['labeled_100'] + lists['unlabeled_400']) <= set(lists['train'])


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_any_data_set_is_split_without_overlap(sizes, data, seed):
    scans = make_scans(dict(enumerate(sizes)))
    train = choose_train_subsets(dict(enumerate(sizes)))
    total = sum(sizes[k] for k in train)
    labeled = data.draw(st.integers(0, total))
    unlabeled = data.draw(st.integers(0, total - labeled))
    lists = make_splits(
        scans,
        labeled=[labeled] if labeled else [],
        unlabeled=[unlabeled] if unlabeled else [],
        seed=seed,
    )
    chosen = [
        lists.get(f'labeled_{labeled}', []),
        lists.get(f'unlabeled_{unlabeled}', []),
        lists['test'],
    ]
    assert [len(one) for one in chosen] == [labeled, unlabeled, len(scans) - total]
    assert len(set(itertools.chain(*chosen))) == sum(map(len, chosen))
    assert sorted(lists['train'] + lists['test']) == sorted(scan['scan_id'] for scan in scans)


def test_files_are_regenerated_identically(tmp_path):
    scans = make_scans(LUNA16_SIZES)
    for folder, order in (('a', scans), ('b', scans[::-1])):
        write_splits(tmp_path / folder, make_splits(order, labeled=LABELED, unlabeled=UNLABELED))
    files = sorted(path.name for path in (tmp_path / 'a').iterdir())
    assert len(files) == 10 + 2 + 3 + 4
    assert all(
        (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
        for name in files
    )
    assert (tmp_path / 'a/labeled_25.txt').read_text().count('\n') == 25


def test_seed_changes_the_choice():
    first, second = (
        make_splits(make_scans({0: 30, 1: 10}), labeled=[10], seed=seed)['labeled_10']
        for seed in (0, 1)
    )
    assert set(first) != set(second)


def test_order_is_fixed_for_all_time():
    lists = make_splits(make_scans({0: 5, 1: 1}), train_subsets=[0], labeled=[5])
    # printf '0:0.4' | sha256sum gives 18d8..., then '0:0.0' 8713..., '0:0.2' 8bc6..., bd1f, dca2
    assert lists['labeled_5'] == ['0.4', '0.0', '0.2', '0.3', '0.1']


def test_scans_without_subset_are_dealt_into_ten():
    scans = [dict(scan_id=f'scan{k:02d}', subset=None) for k in range(23)]
    groups = group_subsets(scans, seed=0)
    assert sorted(map(len, groups.values())) == [2] * 7 + [3] * 3
    lists = make_splits(scans)
    assert len(lists['train']) + len(lists['test']) == 23


def test_given_subsets_are_taken():
    scans = make_scans({k: 2 for k in range(10)})
    lists = make_splits(scans, test_subsets=[3])
    assert lists['test'] == ['3.0', '3.1'] and len(lists['train']) == 18
    lists = make_splits(scans, train_subsets=[1], test_subsets=[2])
    assert lists['train'] == ['1.0', '1.1'] and lists['test'] == ['2.0', '2.1']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(labeled=[8], unlabeled=[5]), '8 labeled and 5 unlabeled .* only 12 scans'),
        (dict(labeled=[0]), 'at least one scan'),
        (dict(train_subsets=[11]), r'no scans of the subsets \[11\]'),
        (dict(train_subsets=[1], test_subsets=[1, 2]), r'subsets \[1\] are for training and for'),
    ],
)
def test_impossible_splits_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_splits(make_scans({k: 2 for k in range(10)}), **arguments)


def test_scans_without_annotations_are_the_first_unlabeled_ones():
    scans = [
        dict(scan, annotated=int(scan['scan_id'][-1]) % 2 == 0)  # three of each five
        for scan in make_scans({0: 5, 1: 5, 2: 5})
    ]
    lists = make_splits(scans, [0, 1], labeled=[2, 3], unlabeled=[2, 4, 7])
    annotated = {scan['scan_id'] for scan in scans if scan['annotated']}
    assert lists['train'] == ['0.0', '0.2', '0.4', '1.0', '1.2', '1.4']
    assert set(lists['labeled_3']) <= annotated and lists['labeled_2'] == lists['labeled_3'][:2]
    assert set(lists['unlabeled_4']) == {'0.1', '0.3', '1.1', '1.3'}
    assert lists['unlabeled_2'] == lists['unlabeled_7'][:2]
    assert set(lists['unlabeled_7']) | set(lists['labeled_3']) == {
        f'{subset}.{k}' for subset in (0, 1) for k in range(5)
    }
    assert len(lists['test']) == 5
    with pytest.raises(ValueError, match='7 labeled .* only 6 scans and 4 without annotations'):
        make_splits(scans, [0, 1], labeled=[7])


def test_partly_missing_subsets_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scans have no subset, the first is 'b'"):
        group_subsets([dict(scan_id='a', subset=0), dict(scan_id='b', subset=None)], seed=0)


def make_patients(scans_each, subset=None):
    """Scans 'a0', 'a1' ... of the patient 'a'."""
    return [
        dict(scan_id=f'{patient}{k}', subset=subset, patient=patient)
        for patient, count in scans_each.items()
        for k in range(count)
    ]


def patients_of(scan_ids):
    return {scan_id[0] for scan_id in scan_ids}


@pytest.mark.tried(
    'data set',
    'a split of patients who have several scans',
    'all scans of a patient on one side: dealt, labeled, unlabeled, tested',
)
@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 5), min_size=2, max_size=20),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_patient_is_on_one_side_only(counts, seed, data):
    scans = make_patients(dict(zip('abcdefghijklmnopqrst', counts, strict=False)))
    for scan in scans:
        scan['annotated'] = data.draw(st.booleans())
    lists = make_splits(scans, seed=seed)
    subsets = [patients_of(ids) for name, ids in lists.items() if name.startswith('subset')]
    assert sum(map(len, subsets)) == len(counts) == len(set().union(*subsets))
    assert not patients_of(lists['train']) & patients_of(lists['test'])
    sizes = list(range(1, len(lists['train']) + 1))
    labeled = data.draw(st.lists(st.sampled_from(sizes), max_size=3)) if sizes else []
    lists = make_splits(scans, labeled=labeled, seed=seed)
    first = lists[f'labeled_{max(labeled)}'] if labeled else []
    spare = [
        scan
        for scan in scans
        if scan['scan_id'] not in lists['test'] and scan['scan_id'][0] not in patients_of(first)
    ]
    unlabeled = [len(spare)] if spare else []
    lists = make_splits(scans, labeled=labeled, unlabeled=unlabeled, seed=seed)
    assert {*lists.get(f'unlabeled_{len(spare)}', [])} == {scan['scan_id'] for scan in spare}
    assert all(lists[f'labeled_{size}'] == first[:size] for size in labeled)


def test_known_patients_of_one_scan_each_change_no_list():
    scans = make_scans(LUNA16_SIZES)
    known = [dict(scan, patient=f'p{number}') for number, scan in enumerate(scans)]
    arguments = dict(labeled=LABELED, unlabeled=UNLABELED)
    assert make_splits(known, **arguments) == make_splits(scans, **arguments)
    without = [dict(scan, subset=None) for scan in known]
    assert group_subsets(without, 3) == group_subsets([dict(s, patient=None) for s in without], 3)


def test_patients_are_dealt_in_the_order_of_their_first_scans():
    scans = make_patients(dict(a=2, b=1, c=3))
    # printf '0:b0' | sha256sum gives 4448..., then '0:c0' 891d..., '0:a0' e96c...;
    # of the scans of c, '0:c2' 85ca... before '0:c0', then '0:c1' cabf...
    lists = make_splits(scans, train_subsets=[0, 1], labeled=[2, 4])
    assert lists['subset0'] == ['b0']
    assert lists['subset1'] == ['c0', 'c1', 'c2'] and lists['subset2'] == ['a0', 'a1']
    assert lists['labeled_4'] == ['b0', 'c2', 'c0', 'c1']
    assert lists['labeled_2'] == ['b0', 'c2']


def test_subsets_are_dealt_by_the_number_of_scans():
    scans = make_patients({name: 9 if name == 'a' else 1 for name in 'abcdefghijklmnopqrs'})
    sizes = sorted(len(ids) for ids in group_subsets(scans, 0).values())
    assert sizes[-1] in (9, 10) and sizes[-2] - sizes[0] <= 1  # 18 patients beside that of nine


def test_unannotated_scans_of_labeled_patients_are_not_unlabeled():
    scans = [
        dict(scan, annotated=scan['scan_id'][1] == '0')
        for scan in make_patients(dict(a=3, b=3), subset=0)
    ]
    lists = make_splits(scans, [0], labeled=[1], unlabeled=[3])
    (other,) = patients_of(['a0', 'b0']) - patients_of(lists['labeled_1'])
    assert patients_of(lists['unlabeled_3']) == {other}
    with pytest.raises(
        ValueError,
        match='2 scans and 4 without annotations are for training; 2 more are of labeled patients',
    ):
        make_splits(scans, [0], labeled=[1], unlabeled=[4])


def test_one_patient_is_for_training():
    lists = make_splits(make_patients(dict(a=12)))
    assert len(lists['train']) == 12 and lists['test'] == []


def test_subsets_that_divide_patients_are_found():
    scans = make_patients(dict(a=2, b=2), subset=0)
    assert find_divided(scans) == []
    scans[3]['subset'] = 1
    assert find_divided(scans) == ['b0']
    assert find_divided([dict(scan, patient=None) for scan in scans]) == []


def scans_of(*kinds, patients=()):
    """Scans with a lesion ('+'), annotated without one ('-'), or not annotated ('?')."""
    scans = [
        dict(
            scan_id=f'scan{number:02d}',
            annotated=kind != '?',
            instances=[dict(ignore=False)] * (kind == '+') + [dict(ignore=True)],
        )
        for number, kind in enumerate(kinds)
    ]
    for scan, patient in zip(scans, patients, strict=False):
        scan['patient'] = patient
    return scans


@pytest.mark.parametrize('seed', range(5))
def test_folds_have_as_many_scans_of_each_kind(seed):
    folds = deal_folds(scans_of(*'+++++++-----????'), 3, seed)  # 7, 5 and 4 scans
    for ids, sizes in (
        (range(7), [2, 2, 3]),
        (range(7, 12), [1, 2, 2]),
        (range(12, 16), [1, 1, 2]),
    ):
        found = [folds[f'scan{number:02d}'] for number in ids]
        assert sorted(found.count(fold) for fold in range(3)) == sizes
    assert sorted(list(folds.values()).count(fold) for fold in range(3)) == [5, 5, 6]


def test_folds_do_not_divide_patients_and_depend_on_the_seed():
    scans = scans_of(*'+-' * 12, patients='aabbccddeeffgghhiijjkkll')
    folds = deal_folds(scans, 4, seed=1)
    assert all(folds[f'scan{k:02d}'] == folds[f'scan{k + 1:02d}'] for k in range(0, 24, 2))
    assert sorted(list(folds.values()).count(fold) for fold in range(4)) == [6, 6, 6, 6]
    assert folds == deal_folds(scans[::-1], 4, seed=1) != deal_folds(scans, 4, seed=2)


@pytest.mark.parametrize(
    ('kinds', 'patients', 'folds'), [('++', '', 1), ('++?', '', 3), ('+++', 'aab', 3)]
)
def test_too_many_or_too_few_folds(kinds, patients, folds):
    with pytest.raises(ValueError, match=f'{folds} folds were asked for: .* annotated scans, 2'):
        deal_folds(scans_of(*kinds, patients=patients), folds)


def test_subsets_are_not_lost_unasked():
    scans = [dict(scan, subset=7) for scan in scans_of(*'+++')]
    with pytest.raises(ValueError, match=r'the subsets \[7\] already: .*--overwrite-subsets'):
        put_folds(scans, 3)
    assert sorted(scan['subset'] for scan in put_folds(scans, 3, overwrite=True)) == [0, 1, 2]
    assert [scan['subset'] for scan in scans] == [7, 7, 7]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 9))
def test_scans_in_brief_are_split_as_whole_ones(data, seed):
    lesions = st.lists(st.fixed_dictionaries(dict(center=st.just([0.0]), ignore=st.booleans())))
    scan = dict(annotated=st.booleans(), instances=lesions)
    patient = dict(patient=st.sampled_from([None, 'p', 'q']))
    scans = data.draw(st.lists(st.fixed_dictionaries(scan, optional=patient), min_size=9))
    scans = [dict(scan, scan_id=str(number)) for number, scan in enumerate(scans)]
    brief = in_brief(scans)
    assert make_splits(brief, seed=seed) == make_splits(scans, seed=seed)
    assert find_divided(brief) == find_divided(scans)
    try:
        expected = deal_folds(scans, 2, seed)
    except ValueError:  # too few patients
        return
    assert deal_folds(brief, 2, seed) == expected


def test_a_patient_stands_under_the_first_id_whatever_the_order_of_scans():
    scans = [dict(scan_id=name, patient=name[0] if name > 'b' else None) for name in
             ('c2', 'a1', 'b10', 'c1', 'b9', 'a2')]  # fmt: skip
    expected = dict(c2='c1', c1='c1', b10='b10', b9='b10', a1='a1', a2='a2')
    assert first_scans(scans) == first_scans(scans[::-1]) == expected
