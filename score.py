"""Score tickets with the champion: ``python score.py input=tickets.csv``; see ``--help``."""

import hydra
from omegaconf import DictConfig

from slarisk.jobs.command import read_config, register_schemas, run_command


@hydra.main(config_path="conf", config_name="score")
def main(config: DictConfig) -> None:
    from slarisk.jobs.score import score

    score(read_config(config))


if __name__ == "__main__":
    register_schemas()
    run_command(main)
