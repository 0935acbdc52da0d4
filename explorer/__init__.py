"""See which visual tokens a pruning method keeps, and what that does to a model's answer."""

import os

# Set before torch is imported. OpenMP's threads spin while they wait; beside any other busy process
# (a browser, a second visitor) that made small models 5 to 20 times slower on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
