"""Score tickets with the champion: ``python score.py input=tickets.csv``; see ``--help``."""

import hydra
from omegaconf import DictConfig

from slarisk.command_line import register_schemas, run_command, run_job


@hydra.main(config_path="conf", config_name="score")
def main(config: DictConfig) -> None:
    from slarisk.commands.score import score

    run_job(score, config)


if __name__ == "__main__":
    register_schemas()
    run_command(main)
