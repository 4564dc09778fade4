"""Promote the best run: ``python promote.py``; see ``--help`` for every choice."""

import hydra
from omegaconf import DictConfig

from slarisk.command_line import register_schemas, run_command, run_job


@hydra.main(config_path="conf", config_name="promote")
def main(config: DictConfig) -> None:
    from slarisk.commands.promote import promote

    run_job(promote, config)


if __name__ == "__main__":
    register_schemas()
    run_command(main)
