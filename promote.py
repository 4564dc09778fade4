"""Promote the best run: ``python promote.py``; see ``--help`` for every choice."""

import hydra
from omegaconf import DictConfig

from slarisk.jobs.command import read_config, register_schemas, run_command


@hydra.main(config_path="conf", config_name="promote")
def main(config: DictConfig) -> None:
    from slarisk.jobs.promote import promote

    promote(read_config(config))


if __name__ == "__main__":
    register_schemas()
    run_command(main)
