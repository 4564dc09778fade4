"""Train a model: ``python train.py model=rf``; see ``--help`` for every choice."""

import hydra
from omegaconf import DictConfig

from slarisk.command_line import register_schemas, run_command, run_job


@hydra.main(config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    from slarisk.commands.train import train

    return run_job(train, config)


if __name__ == "__main__":
    register_schemas()
    run_command(main)
