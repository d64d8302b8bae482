"""
Our property tests, run against your policy and your machine::

    pytest --pyargs sessionfsm.testing.suite --policy policy.toml --machine my_bot.lifecycle:table

Without options they are run against the default policy and its machine.
"""
