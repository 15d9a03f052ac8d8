"""Money that many replicas spend and none exceeds.

* ``budget``: the budget as one replica sees it; ``leases``: the slices of it that are held here.
* ``ledger``: what Redis keeps of it; ``lease_scripts``: what Redis does with it in one step.
* ``pacing``: how it is spread over the day, and the price that keeps it there.
"""
