"""A writer that is killed at each point of its work at which it touches disk or Redis, in turn.

``python -m tests.serving.dying URL RUN_DIR`` prints at how many points it died.
"""

import os
import signal
import sys
from pathlib import Path

from redis.client import Pipeline
from redis.cluster import ClusterPipeline

from envs.catalogue import load_catalogue
from serving.journal.draining import JournalWriter
from serving.journal.files import JournalFiles


def dying(function, countdown):
    """The function, which at the end of the count kills this process before or after its work."""

    def call(*arguments, **named):
        for work in (None, function):
            countdown[0] -= 1
            if countdown[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*arguments, **named) if work else None
        return result

    return call


def write(url, run_dir, count):
    """One whole life of a writer, or as much of it as there are points in the count."""
    countdown = [count]
    os.fsync = dying(os.fsync, countdown)
    os.replace = dying(os.replace, countdown)
    os.unlink = dying(os.unlink, countdown)
    for kind in (Pipeline, ClusterPipeline):
        kind.execute = dying(kind.execute, countdown)
    files = JournalFiles(run_dir, load_catalogue(), lambda: 4e9)
    files.begin()
    writer = JournalWriter(url, load_catalogue(), files)
    while writer.drain():
        pass
    files.compact()


def main():
    url, run_dir = sys.argv[1], Path(sys.argv[2])
    count = 0
    while True:
        count += 1
        child = os.fork()
        if child == 0:
            write(url, run_dir, count)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            print(count - 1)
            return os.WEXITSTATUS(status)


if __name__ == "__main__":
    sys.exit(main())
