"""Hydra's sweeper plugins: ``-m`` as a grid or as a search.

Every command imports this module, so what takes a second to import waits until a sweep begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from slarisk.constraints import check_config
from slarisk.errors import InputError
from slarisk.sweeps.settings import SearchSettings


@dataclass
class GridConfig(BasicSweeperConf):
    """``hydra/sweeper=basic``: Hydra's own keys."""

    _target_: str = "slarisk.sweeps.plugins.GridSweeper"


class GridSweeper(BasicSweeper):
    """Every combination of the choices."""

    def sweep(self, arguments: list[str]) -> None:
        """Check the choices and run the grid."""
        from slarisk.sweeps.grid import list_new_choices, run_grid  # pandas, scikit-learn
        from slarisk.sweeps.hydra_sweep import HydraSweep

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        loader = self.hydra_context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        for override in parsed:
            if override.key_or_group == "search":
                raise InputError(f"{override.input_line}: choose one search a command.")
        batches = self.split_arguments(parsed, self.max_batch_size)
        self.validate_batch_is_legal(list_new_choices([job for batch in batches for job in batch]))
        name = " ".join(arguments)[:200] or "sweep"
        run_grid(HydraSweep(self.config, self.launcher, loader), batches, name)


@dataclass
class SearchConfig(SearchSettings):
    """``hydra/sweeper=search``."""

    _target_: str = "slarisk.sweeps.plugins.SearchSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])


class SearchSweeper(Sweeper):
    """An Optuna search over the parameters of a model; takes the keys of `SearchSettings`."""

    def __init__(self, **settings: Any) -> None:
        self.settings = SearchSettings(**settings)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over.

        Raises
        ------
        InputError
            A setting of the search breaks a constraint of its key.
        """
        check_config(OmegaConf.to_object(config.hydra.sweeper), "hydra.sweeper.")
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that are left; after the last one, conclude the search."""
        from slarisk.sweeps.hydra_sweep import HydraSweep
        from slarisk.sweeps.search import run_search  # Optuna, scikit-learn

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        hydra = HydraSweep(self.config, self.launcher, self.hydra_context.config_loader)
        run_search(hydra, self.settings, arguments)
