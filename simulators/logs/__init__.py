"""Worlds that really were: logs of past campaigns.

* ``logged``, ``log_columns``: logs of decisions, and the checked columns of their files.
* ``mapping``, ``campaign_table``, ``importing``: any table of past campaigns as a log;
  ``campaigns``: mappings of public ones.
* ``pieces``: logs too large to hold.
* ``played``: what a service would have logged in the synthetic world.
* ``served``: what a service decided for a log's customers.
"""
