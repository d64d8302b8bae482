"""``python -m sessionfsm`` is the command ``sessionfsm``."""

import sys

if __name__ == "__main__":
    try:
        from sessionfsm.cli import main

        code = main()
    except KeyboardInterrupt:  # before main() could look after it
        code = 130
    sys.exit(code)
