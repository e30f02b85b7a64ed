"""Print the process ids of this uWSGI's workers, one per line."""

import sys

from .stats import workers

if __name__ == "__main__":
    try:
        for worker in workers():
            print(worker["pid"])
    except OSError as error:
        sys.exit(str(error))
