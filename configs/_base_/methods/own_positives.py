# After another method: the unlabeled loss is divided by the positives of its own step, at least 1.
# The tables of phantoms were made so; docs/focalmix.md says why it is no longer the default.
method = dict(unsup=dict(divide_by=dict(type='OwnPositives')))
