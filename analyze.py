"""Find out where and why tickets breach, and what would help: ``python analyze.py``."""

import hydra
from omegaconf import DictConfig

from slarisk.command_line import register_schemas, run_command, run_job


@hydra.main(config_path="conf", config_name="analyze")
def main(config: DictConfig) -> None:
    from slarisk.commands.analyze import analyze

    run_job(analyze, config)


if __name__ == "__main__":
    register_schemas()
    run_command(main)
