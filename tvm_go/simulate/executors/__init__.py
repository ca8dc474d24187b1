"""Executors: how long a placed graph takes, and what memory it needs, under one rule of execution each.

A search whose own loop is compiled calls them from there, without Python in between::

    costs = costs_of(workload, machine)  # tvm_go.simulate.costs; a tuple of arrays that numba takes as an argument


    @njit(nogil=True)
    def loop(costs, device, priority):
        value = concurrent_ms(costs, device, priority)  # int32 [N], float64 [N]: milliseconds, or inf

`sequential_ms` and `pipeline_ms` are called in the same way. All arrays must be C-contiguous.
"""
