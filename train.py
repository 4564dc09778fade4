"""Train a model: ``python train.py model=rf``; see ``--help`` for every choice."""

import hydra
from omegaconf import DictConfig

from slarisk.jobs.command import read_config, register_schemas, run_command


@hydra.main(config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    from slarisk.jobs.train import train

    return train(read_config(config))


if __name__ == "__main__":
    register_schemas()
    run_command(main)
