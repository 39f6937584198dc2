"""The suite's command line: fetch clips, pretrain skills, train tasks, evaluate, render, play, benchmark. ``python run.py`` lists the commands."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

# PyTorch's idle threads spin for milliseconds after every operation, in the way of the physics threads and of any second run on this machine. A short spin is as quick for
# PyTorch. It must be set before torch is loaded; GNU OpenMP alone knows it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from ase.distributed import RankLostError
from cfg.cli import fail
from cfg.load import closest

COMMANDS = {
    "motions": "fetch the free clips (motions fetch) or report on clips (motions check)",
    "pretrain": "train low-level skills from clips",
    "train-task": "train a controller that solves a task with trained skills",
    "guard": "let a run's skills give way to others before they fall",
    "evaluate": "measure the skills of a run",
    "compare": "measures of several runs side by side",
    "skill": "find the latent that plays a clip best, and name it",
    "render": "video or strip of a run's skills",
    "play": "steer a character live with the arrow keys",
    "bench": "speed of environment and training on this machine",
}  # each is a module of cfg.commands


def main(argv: Sequence[str]) -> int:
    """Runs one command; bad input ends with one line on standard error and status 2."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print("usage: run.py COMMAND ... (COMMAND --help shows its flags)\n" + "\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items()))
        elif argv[0] not in COMMANDS:
            raise ValueError(f"command {argv[0]}: unknown.{closest(argv[0], COMMANDS)} Available: {', '.join(COMMANDS)}")
        else:
            importlib.import_module(f"cfg.commands.{argv[0].replace('-', '_')}").main(argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, RankLostError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
