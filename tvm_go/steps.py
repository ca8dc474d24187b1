"""How long a kernel takes on one core, roughly, in steps: by these our schedules decide whether threads are worth it.

A step is an arithmetic instruction on one lane of a vector; what else an element takes counts as so many of them.
"""

ACCESS = 16  # to read and store an element
POLYNOMIAL = 32  # exp, tanh and their like, as our schedules compute them
LIBM = 1000  # a call for each lane
SCALAR = 8  # times as many steps where there are no vectors
MULTIPLY_ADD = 4  # in a contraction, whose operands are in registers
WORTH_THREADS = 1 << 18  # 2 us of one core; to start others takes 1
