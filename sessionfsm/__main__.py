"""``python -m sessionfsm`` is the command ``sessionfsm``."""

import sys

from sessionfsm.cli import main

if __name__ == "__main__":
    sys.exit(main())
