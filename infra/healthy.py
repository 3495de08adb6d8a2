"""`python infra/healthy.py URL`: exit status 0 when a GET succeeds; the health check of containers without curl."""

import sys
from urllib.error import URLError
from urllib.request import urlopen

if __name__ == "__main__":
    try:
        with urlopen(sys.argv[1], timeout=8) as answer:
            sys.exit(0 if answer.status == 200 else 1)
    except (URLError, OSError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
