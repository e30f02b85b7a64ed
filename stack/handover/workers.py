"""Print the process ids of the workers of this uWSGI, one a line."""

import sys

from .stats import workers

if __name__ == "__main__":
    try:
        for worker in workers():
            print(worker["pid"])
    except OSError as error:
        sys.exit(str(error))
